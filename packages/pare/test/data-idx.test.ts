/** IDX files: read, split, and refused where they are damaged. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { open, openSplits } from "../dist/data/open.js";
import { be32, bytes, everything, folder, idxLabels, images, labels, put, refused } from "./data-files.js";

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
