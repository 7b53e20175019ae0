/** NumPy files: read, split, and refused where they are damaged. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { open, openSplits } from "../dist/data/open.js";
import { float16Bits, float16Value } from "../dist/graph/float16.js";
import { bytes, everything, labels, npy, put, refused, x, y, zip } from "./data-files.js";

test(".npy: every dtype of numbers, both byte orders, versions 1 to 3", async () => {
  const cases: [string, ArrayBufferView, number[]][] = [
    ["<f4", Float32Array.of(1.5, -2), [1.5, -2]],
    ["<f8", Float64Array.of(0.1, -2), [Math.fround(0.1), -2]],
    ["<f2", Uint16Array.of(0x3c00, 0xc400), [1, -4]],
    ["|b1", Uint8Array.of(0, 1), [0, 1]],
    ["|i1", Int8Array.of(-1, 2), [-1, 2]],
    ["|u1", Uint8Array.of(255, 51), [1, Math.fround(0.2)]],
    ["<i2", Int16Array.of(-300, 2), [-300, 2]],
    ["<u2", Uint16Array.of(40000, 2), [40000, 2]],
    ["<u4", Uint32Array.of(4e9, 2), [4e9, 2]],
    [">f4", new Uint8Array([0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0]), [1.5, -2]],
    [">i2", new Uint8Array([1, 0, 0xff, 0xff]), [256, -1]],
  ];
  for (const [dtype, values, expected] of cases) {
    const d = await open(put("a.npy", npy(dtype, "(2, 1)", values)));
    assert.deepEqual(everything(d), expected, dtype);
    assert.deepEqual(d.fields, [{ name: null, type: "float32", dims: [1] }]);
  }
  for (const version of [2, 3])
    assert.deepEqual(
      everything(await open(put("v.npy", npy("<f4", "(2,)", Float32Array.of(3, 4), { version })))),
      [3, 4],
    );
  const ids = await open(put("i.npy", npy("<i8", "(2, 2)", BigInt64Array.of(1n, -2n, 3n, 4n))));
  assert.equal(ids.fields[0]!.type, "int64");
  assert.deepEqual(ids.batch([1]).inputs[0]!.data, BigInt64Array.of(3n, 4n));
  assert.equal((await open(put("j.npy", npy("<i4", "(2, 2)", Int32Array.of(1, -2, 3, 4))))).fields[0]!.type, "int32");
  assert.deepEqual(
    everything(await open(put("a.npy.gz", gzipSync(npy("<f4", "(1, 2)", Float32Array.of(5, 6)))))),
    [5, 6],
  );
});

test("float16 patterns round as IEEE says", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = float16Value(bits);
    if (!Number.isNaN(value)) assert.equal(float16Bits(value), bits);
  }
  assert.equal(float16Bits(1 + 2 ** -11), 0x3c00);
  assert.equal(float16Bits(1 + 3 * 2 ** -11), 0x3c02);
  assert.equal(float16Bits(65519.9), 0x7bff);
  assert.equal(float16Bits(65520), 0x7c00);
  assert.equal(float16Bits(2 ** -25), 0);
  assert.equal(float16Bits(1.01 * 2 ** -25), 1);
});

test(".npy: gray images get a channel axis, channels-last ones are turned, --layout decides for floats", async () => {
  assert.deepEqual((await open(put("g.npy", npy("|u1", "(2, 5, 6)", new Uint8Array(60))))).fields[0]!.dims, [1, 5, 6]);
  const last = await open(
    put(
      "h.npy",
      npy(
        "|u1",
        "(1, 2, 2, 3)",
        Uint8Array.from({ length: 12 }, (_, i) => i * 15),
      ),
    ),
  );
  assert.deepEqual(last.fields[0]!.dims, [3, 2, 2]);
  assert.deepEqual(
    everything(last),
    [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11].map((v) => Math.fround((v * 15) / 255)),
  );
  const path = put("k.npy", npy("<f4", "(1, 1, 2, 2)", Float32Array.of(1, 2, 3, 4)));
  assert.deepEqual((await open(path)).fields[0]!.dims, [1, 1, 2, 2].slice(1));
  assert.deepEqual(everything(await open(path, { layout: "nhwc" })), [1, 3, 2, 4]);
});

test(".npy: damage and dtypes that hold no numbers", async () => {
  const good = npy("<f4", "(2, 2)", Float32Array.of(1, 2, 3, 4));
  await refused(put("x.npy", good.subarray(0, good.length - 3)), /truncated/);
  await refused(put("x.npy", bytes(good, [0])), /more than|too long/);
  await refused(put("x.npy", good.subarray(0, 9)), /truncated within its header/);
  await refused(put("x.npy", "hello, this is text"), /not an \.npy file/);
  await refused(put("x.npy", npy("|O", "(1,)", new Uint8Array(8))), /dtype \|O/);
  await refused(put("x.npy", npy("<c8", "(1,)", new Uint8Array(8))), /dtype <c8/);
  await refused(
    put("x.npy", npy("<f4", "(2, 2)", Float32Array.of(1, 2, 3, 4), { fortran: "True" })),
    /Fortran order: save np\.ascontiguousarray/,
  );
  await refused(put("x.npy", npy("<f4", "(99999999999, 99999999999)", new Uint8Array(4))), /more than any file holds/);
  await refused(put("x.npy", npy("<f4", "(1000, 1000)", new Uint8Array(4))), /truncated/);
  await refused(put("x.npy", npy("<f4", "()", Float32Array.of(1))), /single number/);
  await refused(put("x.npy", npy("<f4", "(0, 4)", new Uint8Array(0))), /no samples/);
  await refused(put("x.npy", npy("<f4", "(2, 0)", new Uint8Array(0))), /holds no values/);
  await refused(put("x.npy", npy("<f4", "(2,)", Float32Array.of(1, Number.NaN))), /sample 1 holds NaN/);
  await refused(put("x.npy", bytes("\x93NUMPY", [2, 0, 255, 255, 255, 255], "{")), /header of 4294967295 bytes/);
});

test(".npz: stored, deflated and ZIP64; labels, targets, one-hot rows, parts and inputs by name", async () => {
  for (const options of [{}, { deflate: true }, { wide: true }, { deflate: true, wide: true }]) {
    const d = await open(put("a.npz", zip({ "x.npy": x, "y.npy": y }, options)));
    assert.deepEqual(everything(d), [0, 1, 2, 3, 4, 5, 6, 7], JSON.stringify(options));
    assert.deepEqual(labels(d), [1, 0, 2, 1]);
    assert.deepEqual([d.fields[0]!.name, d.classes], [null, 3]);
  }
  const parts = zip({
    "x_train.npy": x,
    "y_train.npy": y,
    "test_images.npy": x.slice(),
    "test_labels.npy": y,
    "x_val.npy": x,
    "y_val.npy": y,
  });
  const s = await openSplits(put("b.npz", parts));
  assert.deepEqual([s.train.length, s.validation.length, s.test.length, s.all.length], [4, 4, 4, 4]);
  const named = await open(put("c.npz", zip({ "ids.npy": y, "mask.npy": x, "targets.npy": x })));
  assert.deepEqual(
    named.fields.map((f) => f.name),
    ["ids", "mask"],
  );
  assert.deepEqual(named.batch([1]).targets, { type: "float32", dims: [1, 2], data: Float32Array.of(2, 3) });
  const hot = npy("<f4", "(4, 3)", Float32Array.of(0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0));
  assert.deepEqual(labels(await open(put("d.npz", zip({ "images.npy": x, "labels.npy": hot })))), [1, 0, 2, 1]);
  const real = npy("<f8", "(4,)", Float64Array.of(0.5, 1, 2, 3));
  assert.deepEqual(
    (await open(put("e.npz", zip({ "x.npy": x, "y.npy": real })))).batch([0]).targets!.data,
    Float32Array.of(0.5),
  );
  const single = await open(put("f.npz", zip({ "arr_0.npy": x })));
  assert.deepEqual([single.length, single.fields[0]!.name], [4, "arr_0"]);
  const split = await openSplits(put("g.npz", zip({ "x.npy": x, "y.npy": y })), { validation: 1, test: 1 });
  const together = [split.train, split.validation, split.test].flatMap((d) => everything(d));
  assert.deepEqual(
    together.sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

test(".npz: damaged archives", async () => {
  const good = zip({ "x.npy": x, "y.npy": y }, { deflate: true });
  await refused(put("z.npz", good.subarray(0, good.length - 30)), /damaged zip/);
  await refused(put("z.npz", "PK"), /damaged zip/);
  await refused(put("z.npz", ""), /damaged zip/);
  await refused(put("z.npz", zip({})), /without arrays/);
  await refused(put("z.npz", zip({ "y.npy": y })), /no samples/);
  await refused(put("z.npz", zip({ "x_test.npy": y })), /no training/);
  await refused(put("z.npz", zip({ "x.npy": x, "y.npy": y, "labels.npy": y })), /both look like labels/);
  await refused(
    put("z.npz", zip({ "x.npy": x, "y.npy": npy("<i8", "(3,)", BigInt64Array.of(1n, 0n, 2n)) })),
    /3 labels for 4 samples/,
  );
  await refused(
    put("z.npz", zip({ "x.npy": x, "y.npy": npy("<i8", "(4,)", BigInt64Array.of(1n, 0n, 2n, -1n)) })),
    /label -1 of sample 3/,
  );
  const claims = Buffer.from(zip({ "x.npy": x }));
  const at = claims.indexOf("PK\x01\x02", 0, "latin1");
  claims.writeUInt32LE(x.length + 4, at + 24);
  await refused(put("z.npz", claims), /stored in 160 bytes, the archive says 164/);
  const checksum = Buffer.from(zip({ "x.npy": x }));
  checksum[60] = 0x20 ^ checksum[60]!;
  await refused(put("z.npz", checksum), /checksum|header/);
  // 20 MB of zeros that claim to be 4 bytes, then a claim of 4 GB
  const bomb = Buffer.from(
    zip({ "x.npy": bytes(npy("<f4", "(1,)", Float32Array.of(1)), new Uint8Array(20_000_000)) }, { deflate: true }),
  );
  await refused(put("z.npz", bomb), /declares \d+ bytes, the archive says 20000132/);
  bomb.writeUInt32LE(0xfffffff0, bomb.indexOf("PK\x01\x02", 0, "latin1") + 24);
  await refused(put("z.npz", bomb), /claims 4294967280 bytes/);
});
