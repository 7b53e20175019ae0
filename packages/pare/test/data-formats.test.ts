/** Every format from small files made here: read, split, and refused where they are damaged. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  crc32,
  deflateRawSync,
  deflateSync,
  gzipSync,
} from "node:zlib";
import fc from "fast-check";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import { cacheFolder } from "../dist/data/cache.js";
import type { Dataset } from "../dist/data/dataset.js";
import { fromHalf, toHalf } from "../dist/data/half.js";
import { open, openSplits } from "../dist/data/open.js";
import { PareError } from "../dist/graph/error.js";

const folder = mkdtempSync(join(tmpdir(), "pare-data-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const shared = fileURLToPath(new URL("../../../../shared/data", import.meta.url));

const put = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};
const everything = (d: Dataset, input = 0): number[] => [
  ...(d.batch([...Array(d.length).keys()]).inputs[input]!.data as Float32Array),
];
const labels = (d: Dataset): number[] => [...d.batch([...Array(d.length).keys()]).labels!];
const refused = async (path: string, pattern: RegExp, options = {}): Promise<void> => {
  await assert.rejects(open(path, options), (e: unknown) => {
    assert.ok(e instanceof PareError, `not a PareError: ${(e as Error).stack}`);
    assert.match(e.message, pattern);
    return true;
  });
};
const bytes = (...parts: (ArrayLike<number> | string)[]): Uint8Array =>
  Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p, "latin1") : Buffer.from(Uint8Array.from(p)))));
const be32 = (...values: number[]): number[] =>
  values.flatMap((v) => [v >>> 24, (v >> 16) & 255, (v >> 8) & 255, v & 255]);

// --- IDX

const images = bytes([0, 0, 8, 3], be32(3, 2, 2), [0, 51, 102, 153, 1, 2, 3, 4, 5, 6, 7, 8]);
const idxLabels = bytes([0, 0, 8, 1], be32(3), [2, 0, 1]);

test("IDX: plain, gzip and brotli, labels beside it, MNIST's four files in a folder", async () => {
  const path = put("a-images-idx3-ubyte", images);
  put("a-labels-idx1-ubyte", idxLabels);
  const plain = await open(path);
  assert.deepEqual(plain.fields[0]!.dims, [1, 2, 2]);
  assert.deepEqual(labels(plain), [2, 0, 1]);
  assert.deepEqual(everything(plain).slice(0, 4), [0, 0.2, 0.4, 0.6].map(Math.fround));
  const packed = await open(put("b-images-idx3-ubyte.gz", gzipSync(images)));
  assert.deepEqual(everything(packed), everything(plain));
  assert.equal(packed.classes, undefined);
  assert.deepEqual(
    everything(await open(put("c-images-idx3-ubyte.br", brotliCompressSync(images)))),
    everything(plain),
  );
  for (const part of ["train", "t10k"]) {
    put(`four/${part}-images-idx3-ubyte.gz`, gzipSync(images));
    put(`four/${part}-labels-idx1-ubyte.gz`, gzipSync(idxLabels));
  }
  const four = await openSplits(join(folder, "four"), { validation: 1 });
  assert.deepEqual([four.train.length, four.validation.length, four.test.length, four.all.length], [2, 1, 3, 3]);
  const floats = await open(put("f.idx", bytes([0, 0, 13, 2], be32(1, 2), [0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0])));
  assert.deepEqual(everything(floats), [1.5, -2]);
  const unnamed = await open(put("no-name-at-all", images));
  assert.equal(unnamed.length, 3);
});

test("IDX: truncated, too long, not IDX, declared sizes beyond reason", async () => {
  await refused(
    put("t-idx3-ubyte", images.subarray(0, 20)),
    /declares 28 bytes, it can hold at most 20: it is truncated/,
  );
  await refused(put("t2-idx3-ubyte", images.subarray(0, 7)), /truncated/);
  await refused(
    put("t3-idx3-ubyte.gz", gzipSync(images.subarray(0, 20))),
    /declares 28 bytes, the file has 20: it is truncated/,
  );
  await refused(put("t4-idx3-ubyte.gz", gzipSync(images).subarray(0, 30)), /unexpected end of file/);
  await refused(put("t5-idx3-ubyte", bytes(images, [9])), /too long|more than 28 bytes/);
  await refused(put("t6-idx3-ubyte", bytes([1, 2, 3, 4, 5])), /not an IDX file/);
  await refused(put("t7-idx3-ubyte", ""), /truncated/);
  await refused(
    put("t8-idx3-ubyte.gz", gzipSync(bytes([0, 0, 8, 3], be32(0xffffffff, 0xffffffff, 0xffffffff)))),
    /more than any file holds/,
  );
  await refused(
    put("t9-idx3-ubyte.gz", gzipSync(bytes([0, 0, 8, 3], be32(60000, 28, 2800)))),
    /declares 4704000016 bytes: more than Pare reads/,
  );
  await refused(put("t10-idx3-ubyte", bytes([0, 0, 8, 3], be32(0, 28, 28))), /no samples/);
  put("u-labels-idx1-ubyte", bytes([0, 0, 8, 1], be32(2), [0, 1]));
  await refused(put("u-images-idx3-ubyte", images), /2 labels for 3 samples/);
  const bomb = gzipSync(bytes(images, new Uint8Array(50_000_000)));
  await refused(put("v-idx3-ubyte.gz", bomb), /holds more than 28 bytes/);
});

// --- npy, npz

const npy = (
  dtype: string,
  shape: string,
  values: ArrayBufferView | Uint8Array,
  { version = 1, fortran = "False" } = {},
): Uint8Array => {
  const width = version === 1 ? 10 : 12;
  let header = `{'descr': '${dtype}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  header += `${" ".repeat(63 - ((width + header.length) % 64))}\n`;
  const n = header.length;
  const length = version === 1 ? [n & 255, n >> 8] : [n & 255, n >> 8, 0, 0];
  return bytes(
    "\x93NUMPY",
    [version, 0],
    length,
    header,
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  );
};

/** A zip archive as NumPy writes it; `wide` puts the sizes into ZIP64 fields. */
function zip(files: Record<string, Uint8Array>, { deflate = false, wide = false } = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  const le16 = (v: number): number[] => [v & 255, v >> 8];
  const le32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, v >>> 24];
  let at = 0;
  for (const [name, content] of Object.entries(files)) {
    const body = deflate ? deflateRawSync(content) : content;
    const head = [...le16(20), ...le16(0), ...le16(deflate ? 8 : 0), 0, 0, 0, 0, ...le32(crc32(content))];
    const extra = wide
      ? [1, 0, 24, 0, ...le32(content.length), 0, 0, 0, 0, ...le32(body.length), 0, 0, 0, 0, ...le32(at), 0, 0, 0, 0]
      : [];
    const all = le32(0xffffffff);
    const sizes = wide ? [...all, ...all] : [...le32(body.length), ...le32(content.length)];
    const local = bytes("PK\x03\x04", head, sizes, le16(name.length), le16(extra.length), name, extra, body);
    directory.push(
      bytes(
        "PK\x01\x02",
        le16(20),
        head,
        sizes,
        le16(name.length),
        le16(extra.length),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        wide ? all : le32(at),
        name,
        extra,
      ),
    );
    parts.push(local);
    at += local.length;
  }
  const size = directory.reduce((s, d) => s + d.length, 0);
  const count = le16(directory.length);
  return bytes(...parts, ...directory, "PK\x05\x06", [0, 0, 0, 0], count, count, le32(size), le32(at), [0, 0]);
}

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
    const value = fromHalf(bits);
    if (!Number.isNaN(value)) assert.equal(toHalf(value), bits);
  }
  assert.equal(toHalf(1 + 2 ** -11), 0x3c00);
  assert.equal(toHalf(1 + 3 * 2 ** -11), 0x3c02);
  assert.equal(toHalf(65519.9), 0x7bff);
  assert.equal(toHalf(65520), 0x7c00);
  assert.equal(toHalf(2 ** -25), 0);
  assert.equal(toHalf(1.01 * 2 ** -25), 1);
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

const x = npy("<f4", "(4, 2)", Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
const y = npy("<i8", "(4,)", BigInt64Array.of(1n, 0n, 2n, 1n));

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

// --- CIFAR-10

const record = (label: number, fill: number): Uint8Array => bytes([label], new Uint8Array(3072).fill(fill));

test("CIFAR-10: plain, gzip, brotli, a folder of batches; truncated files and wrong labels", async () => {
  const two = bytes(record(3, 255), record(9, 51));
  const d = await open(put("batch.bin", two), { normalize: "0.5,0.5,0.5/0.5,0.5,0.5" });
  assert.deepEqual([d.length, d.classes, d.fields[0]!.dims], [2, 10, [3, 32, 32]]);
  assert.deepEqual(labels(d), [3, 9]);
  assert.equal(everything(d)[0], 1);
  assert.equal(everything(d)[3072], Math.fround((0.2 - 0.5) / 0.5));
  assert.deepEqual(labels(await open(put("batch.bin.gz", gzipSync(two)))), [3, 9]);
  assert.deepEqual(labels(await open(put("batch.bin.br", brotliCompressSync(two)))), [3, 9]);
  put("cifar/data_batch_1.bin", two);
  put("cifar/data_batch_2.bin.br", brotliCompressSync(record(5, 0)));
  put("cifar/test_batch.bin", record(7, 0));
  const s = await openSplits(join(folder, "cifar"), { validation: 1 });
  assert.deepEqual(labels(s.all), [3, 9, 5]);
  assert.deepEqual(labels(s.test), [7]);
  await refused(
    put("bad.bin", two.subarray(0, 5000)),
    /5000 bytes are not whole CIFAR-10 records of 3073 \(1927 bytes over\)/,
  );
  await refused(put("bad.bin", ""), /0 bytes/);
  await refused(put("bad.bin", record(10, 0)), /record 0 has label 10, outside 0\.\.9/);
  await refused(put("bad.bin.br", brotliCompressSync(two).subarray(0, 20)), /cannot be read or unpacked/);
  const bomb = brotliCompressSync(new Uint8Array(100_000_000), { params: { [constants.BROTLI_PARAM_QUALITY]: 2 } });
  await refused(put("bad.bin.br", bomb), /the most that Pare reads from it/);
});

test("CIFAR-10's real batches, and the same images converted from the npm package where the cache has them", async (t) => {
  if (!existsSync(join(shared, "cifar10"))) return t.skip("needs ../shared/data");
  const d = await open(join(shared, "cifar10"), { split: "test" });
  assert.equal(d.length, 10_000);
  const counts = new Array<number>(10).fill(0);
  for (const l of labels(d)) counts[l]!++;
  assert.deepEqual(counts, new Array(10).fill(1000));
  const cached = join(cacheFolder("cifar10"), "test_batch.bin");
  if (!existsSync(cached)) return t.diagnostic(`no ${cached}: the converted file is not compared`);
  assert.ok(brotliDecompressSync(readFileSync(join(shared, "cifar10/test_batch.bin.br"))).equals(readFileSync(cached)));
});

// --- images

const png = (width: number, height: number, rgb: [number, number, number], colorType: 0 | 2 = 2): Uint8Array => {
  const image = new PNG({ width, height });
  for (let p = 0; p < width * height; p++) image.data.set([...rgb, 255], 4 * p);
  return PNG.sync.write(image, { colorType });
};
const jpg = (width: number, height: number, level: number): Uint8Array =>
  jpeg.encode({ width, height, data: Buffer.alloc(width * height * 4, level) }, 95).data;

test("image folders: classes are folders in order, png and jpeg, gray or colour, train and test", async () => {
  put("animals/dog/1.png", png(3, 2, [255, 0, 51]));
  put("animals/cat/b.jpg", jpg(3, 2, 128));
  put("animals/cat/a.png", png(3, 2, [0, 255, 0]));
  put("animals/cat/.hidden.png", "x");
  put("animals/cat/notes.txt", "x");
  const d = await open(join(folder, "animals"));
  assert.deepEqual([d.length, d.classes, d.fields[0]!.dims], [3, 2, [3, 2, 3]]);
  assert.deepEqual(labels(d), [0, 0, 1]);
  assert.deepEqual(
    everything(d).slice(0, 18),
    [0, 1, 0].flatMap((v) => new Array(6).fill(v)),
  );
  assert.deepEqual(
    everything(d).slice(36),
    [1, 0, Math.fround(0.2)].flatMap((v) => new Array(6).fill(v)),
  );
  for (const v of everything(d).slice(18, 36)) assert.ok(Math.abs(v - 128 / 255) < 0.02, `jpeg gray is ${v}`);
  put("gray/x/1.png", png(2, 2, [77, 77, 77], 0));
  put("gray/y/1.png", png(2, 2, [7, 7, 7], 0));
  const gray = await open(join(folder, "gray"));
  assert.deepEqual(gray.fields[0]!.dims, [1, 2, 2]);
  assert.equal(everything(gray)[0], Math.fround(77 / 255));
  for (const [part, n] of [
    ["train", 5],
    ["test", 2],
  ] as const)
    for (let i = 0; i < n; i++) for (const c of ["a", "b"]) put(`parts/${part}/${c}/${i}.png`, png(1, 1, [i, i, i]));
  const s = await openSplits(join(folder, "parts"), { limit: 4 });
  assert.deepEqual([s.train.length, s.validation.length, s.test.length, s.all.length], [4, 1, 4, 4]);
  assert.deepEqual(labels(s.test), [0, 0, 1, 1]);
  assert.deepEqual(labels(s.all), [0, 0, 1, 1]);
  const plain = await open(join(folder, "animals/dog"));
  assert.deepEqual([plain.length, plain.batch([0]).labels], [1, undefined]);
});

test("image folders: other sizes, empty classes, damage, bombs", async () => {
  put("sizes/a/1.png", png(3, 2, [0, 0, 0]));
  put("sizes/b/2.png", png(2, 3, [0, 0, 0]));
  await refused(join(folder, "sizes"), /2\.png: 2 x 3 pixels, 1\.png has 3 x 2: all images/);
  put("hollow/a/1.png", png(1, 1, [0, 0, 0]));
  put("hollow/b/notes.txt", "x");
  await refused(join(folder, "hollow"), /hollow.b: a class folder without PNG or JPEG images/);
  mkdirSync(join(folder, "void"));
  await refused(join(folder, "void"), /a folder without data/);
  put("mixed/a.png", png(1, 1, [0, 0, 0]));
  put("mixed/b/a.png", png(1, 1, [0, 0, 0]));
  await refused(join(folder, "mixed"), /both images and folders/);
  const one = (name: string, content: Uint8Array | string): string => dirname(put(`one-${name}/1.${name}`, content));
  await refused(one("png", "not an image"), /1\.png: neither a PNG nor a JPEG/);
  await refused(one("png", png(9, 9, [1, 2, 3]).subarray(0, 60)), /a damaged png file/);
  await refused(one("jpg", jpg(64, 64, 3).subarray(0, 300)), /a damaged jpeg file/);
  await refused(one("jpg", [0xff, 0xd8, 0xff, 0xff].join("")), /neither/);
  await refused(one("jpg", bytes([0xff, 0xd8, 0xff, 0xe0, 0, 0], new Uint8Array(20))), /no frame header/);
  const huge = Buffer.from(png(1, 1, [0, 0, 0]));
  huge.writeUInt32BE(60000, 16);
  huge.writeUInt32BE(60000, 20);
  await refused(one("png", huge), /60000 x 60000/);
  // an interlaced image of 4 x 4 whose data inflates to 30 MB
  const chunk = (type: string, data: Uint8Array): Uint8Array =>
    bytes(be32(data.length), type, data, be32(crc32(bytes(type, data))));
  const ihdr = chunk("IHDR", bytes(be32(4, 4), [8, 2, 0, 0, 1]));
  const idat = chunk("IDAT", deflateSync(new Uint8Array(30_000_000)));
  await refused(
    one("png", bytes([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], ihdr, idat, chunk("IEND", new Uint8Array(0)))),
    /a damaged png file/,
  );
});

// --- CSV

test("CSV: with and without header, label columns, words as labels, real targets, other separators", async () => {
  const plain = await open(put("a.csv", "1,2,0\n3,4.5,1\n5,6,1\n"));
  assert.deepEqual([everything(plain), labels(plain), plain.classes], [[1, 2, 3, 4.5, 5, 6], [0, 1, 1], 2]);
  const header = await open(put("b.csv", "\ufeffclass;a;b\nowl;1;2\ncat;3;4\nowl;5;6\n"));
  assert.deepEqual([everything(header), labels(header), header.classes], [[1, 2, 3, 4, 5, 6], [1, 0, 1], 2]);
  assert.deepEqual(labels(await open(put("c.csv", "a,b,c\n7,2,3\n1,5,6\n"), { label: "a" })), [7, 1]);
  assert.deepEqual(labels(await open(put("d.csv", "7\t2\t3\n1\t5\t6\n"), { label: 0 })), [7, 1]);
  assert.deepEqual(labels(await open(put("e.csv", "1,1\n2,-1\n3,1\n"))), [1, 0, 1]);
  const real = await open(put("f.csv", "x,target\n1,0.5\n2,3\n"));
  assert.deepEqual(real.batch([0, 1]).targets!.data, Float32Array.of(0.5, 3));
  assert.equal(real.classes, undefined);
  assert.deepEqual(
    (await open(put("g.csv", "1,4\n2,3\n"), { regression: true })).batch([1]).targets!.data,
    Float32Array.of(3),
  );
  assert.deepEqual(labels(await open(put("h.csv", '"x","label"\n"1","a, b"\n"2","c"\n'))), [0, 1]);
  assert.deepEqual(labels(await open(put("i.csv", "1,2\n"))), [2]);
  assert.deepEqual(
    everything(await open(put("j.csv.gz", gzipSync("2,4,first,second,third\n1,2,3,4,0\n5,6,7,8,1\n")))),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
});

test("CSV: cells that are no numbers, ragged rows, nothing at all", async () => {
  await refused(put("x.csv", "a,b,label\n1,2,0\n1,,1\n"), /row 3, column "b" holds nothing/);
  await refused(put("x.csv", "a,b,label\n1,2,0\n1,NaN,1\n"), /row 3, column "b" holds "NaN"/);
  await refused(put("x.csv", "1,2,0\n1,2\n"), /row 2 has 2 columns|row 1 has 3 columns/);
  await refused(put("x.csv", "1,2,0\n1,2,0\n1,2,3,4\n"), /row 3 has 4 columns, the ones before have 3/);
  await refused(put("x.csv", "1,2,0\n1,2,\n"), /row 2 has no label/);
  await refused(put("x.csv", ""), /no rows/);
  await refused(put("x.csv", "a,b,label\n"), /not a number|no rows/);
  await refused(put("x.csv", "1\n2\n"), /one column/);
  await refused(put("x.csv", '1,"2\n3,4\n'), /cannot be read as CSV/);
  await refused(put("x.csv", "1,2\n3,4\n"), /no column "price"/, { label: "price" });
  await refused(put("x.csv", "3,4,a,b\n1,2,3,4,0\n5,6,7,8,1\n"), /declares 3 rows, there are 2/);
});

test("the tables in shared", async (t) => {
  if (!existsSync(join(shared, "tabular"))) return t.skip("needs ../shared/data");
  for (const [file, length, features, classes] of [
    ["iris.csv", 150, 4, 3],
    ["wine_data.csv", 178, 13, 3],
    ["breast_cancer.csv", 569, 30, 2],
    ["digits.csv.gz", 1797, 64, 10],
  ] as const) {
    const d = await open(join(shared, "tabular", file));
    assert.deepEqual([d.length, d.fields[0]!.dims, d.classes], [length, [features], classes], file);
  }
  await refused(join(shared, "tabular/penguins.csv"), /row 2, column "species" holds "Adelie", not a number/);
});

test("the photographs in shared", async (t) => {
  if (!existsSync(join(shared, "images"))) return t.skip("needs ../shared/data");
  const d = await open(join(shared, "images/imagenet256_even"), { limit: 3 });
  assert.deepEqual([d.length, d.fields[0]!.dims], [3, [3, 256, 256]]);
  const v = everything(d);
  assert.ok(v.every((p) => p >= 0 && p <= 1) && Math.max(...v.slice(0, 65536)) > 0.5);
  await refused(join(shared, "images/faces"), /all images of a data set must have one size/);
});

// --- modules

test("modules: async iterables, functions, several inputs, parts", async () => {
  const m = await open(
    put(
      "m.mjs",
      "export default (async function* () { for (let i = 0; i < 5; i++) yield { x: [[i, 1], [2, 3]], label: i % 2 }; })();",
    ),
  );
  assert.deepEqual([m.length, m.fields[0]!.dims, labels(m)], [5, [2, 2], [0, 1, 0, 1, 0]]);
  const f = await open(
    put(
      "f.mjs",
      "export async function* samples({ seed }) { for (let i = 0; ; i++) yield { inputs: { a: { data: new Uint8Array([255, 0]), dims: [1, 2] }, b: seed }, target: [i, i] }; }",
    ),
    { limit: 40, seed: 6 },
  );
  assert.deepEqual(f.fields, [
    { name: "a", type: "float32", dims: [1, 2] },
    { name: "b", type: "float32", dims: [1] },
  ]);
  assert.deepEqual([f.length, everything(f, 0).slice(0, 2), everything(f, 1)[39]], [40, [1, 0], 6]);
  assert.deepEqual(f.batch([39]).targets!.data, Float32Array.of(39, 39));
  const p = await openSplits(
    put(
      "p.mjs",
      "const s = (n) => Array.from({ length: n }, (_, i) => ({ x: i, label: 0 })); export const train = s(20); export const test = () => s(3);",
    ),
  );
  assert.deepEqual([p.train.length, p.validation.length, p.test.length], [18, 2, 3]);
});

test("modules: whatever goes wrong in them is said", async () => {
  let n = 0;
  const module = (code: string): string => put(`bad${n++}.mjs`, code);
  await refused(module("export default 5"), /must be an iterable/);
  await refused(module("export const other = []"), /exports other: export samples as/);
  await refused(module("export default []"), /yields no samples/);
  await refused(module("syntax error"), /cannot be loaded as a module/);
  await refused(module("export default [{}]"), /sample 0 has neither x nor inputs/);
  await refused(module("export default [null]"), /sample 0 has neither x nor inputs/);
  await refused(
    module("export default [{ x: [1, 2] }, { x: [1] }]"),
    /sample 1, x has shape \[1\], the first sample \[2\]/,
  );
  await refused(module("export default [{ x: [[1, 2], [3]] }]"), /nested lists must be even/);
  await refused(module("export default [{ x: ['a'] }]"), /hold numbers/);
  await refused(module("export default [{ x: 1, label: 0 }, { x: 2 }]"), /1 of 2 samples have a label/);
  await refused(module("export default [{ x: 1, label: 0.5 }]"), /label 0.5 of sample 0/);
  await refused(
    module("export default [{ inputs: { a: 1 } }, { inputs: { b: 1 } }]"),
    /has the inputs b, the first one a/,
  );
  await refused(
    module("export default (function* () { yield { x: 1 }; throw new Error('disk gone'); })()"),
    /failed after 1: disk gone/,
  );
  await refused(module("export default [{ x: { data: [1, 2], dims: [3] } }]"), /\[3\] and 2 values/);
});

// --- names and options

test("names, splits and limits that make no sense", async () => {
  await refused("no-such-thing", /no such file or folder, and no data set of that name/);
  await refused(put("strange.xyz", "hello"), /its name does not say what it is/);
  await refused(join(folder, "a.csv"), /split "dev"/, { split: "dev" });
  await refused(join(folder, "a.csv"), /limit 0/, { limit: 0 });
  await refused(join(folder, "a.csv"), /validation 5 of/, { split: "train", validation: 5 });
  await refused(join(folder, "a.csv"), /seed -1/, { split: "train", seed: -1 });
  await refused(join(folder, "batch.bin"), /2 channels, the data's samples are \[3,32,32\]/, { normalize: "1,2/3,4" });
});

test("no file of random or damaged bytes does anything but give a PareError", async () => {
  const seeds: [string, Uint8Array][] = [
    ["q-idx3-ubyte", images],
    ["q.idx.gz", gzipSync(images)],
    ["q.npy", npy("<f4", "(4, 2)", Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7))],
    ["q.npz", zip({ "x.npy": x, "y.npy": y }, { deflate: true })],
    ["w.npz", zip({ "x.npy": x, "y.npy": y }, { wide: true })],
    ["q.bin.br", brotliCompressSync(record(1, 7))],
    ["q.csv", bytes("a,b,label\n1,2,0\n3,4,1\n")],
    ["q/1.png", png(5, 4, [1, 2, 3])],
    ["q2/1.jpg", jpg(16, 16, 99)],
  ];
  const damage = fc.record({
    at: fc.nat(),
    flip: fc.integer({ min: 1, max: 255 }),
    cut: fc.option(fc.nat(), { freq: 3 }),
    kind: fc.nat(seeds.length - 1),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ at, flip, cut, kind }) => {
      const [name, good] = seeds[kind]!;
      const bad = Uint8Array.from(good);
      bad[at % bad.length]! ^= flip;
      const path = put(name, cut === null ? bad : bad.subarray(0, cut % bad.length));
      try {
        await open(/q2?\//.test(name) ? dirname(path) : path);
      } catch (e) {
        assert.ok(e instanceof PareError, `${name}: ${(e as Error).stack}`);
      }
    }),
    { numRuns: 600, seed: 1 },
  );
});
