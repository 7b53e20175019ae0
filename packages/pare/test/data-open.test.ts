/** Names and options that make no sense; random damage to every format. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { open } from "../dist/data/open.js";
import { PareError } from "../dist/graph/error.js";
import { bytes, folder, images, jpg, npy, png, put, record, refused, x, y, zip } from "./data-files.js";

test("names, splits and limits that make no sense", async () => {
  put("a.csv", "1,2,0\n3,4.5,1\n5,6,1\n");
  put("batch.bin", record(3, 255));
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
