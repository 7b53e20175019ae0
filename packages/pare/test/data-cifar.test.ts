/** CIFAR-10 binary files: read, and refused where they are damaged. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync, brotliDecompressSync, constants, gzipSync } from "node:zlib";
import { cacheFolder } from "../dist/data/cache.js";
import { open, openSplits } from "../dist/data/open.js";
import { bytes, everything, folder, labels, put, record, refused, shared } from "./data-files.js";

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
