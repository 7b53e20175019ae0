/** Image folders: read, and refused where they are uneven or damaged. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { open, openSplits } from "../dist/data/open.js";
import { be32, bytes, everything, folder, jpg, labels, png, put, refused, shared } from "./data-files.js";

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

test("the photographs in shared", async (t) => {
  if (!existsSync(join(shared, "images"))) return t.skip("needs ../shared/data");
  const d = await open(join(shared, "images/imagenet256_even"), { limit: 3 });
  assert.deepEqual([d.length, d.fields[0]!.dims], [3, [3, 256, 256]]);
  const v = everything(d);
  assert.ok(v.every((p) => p >= 0 && p <= 1) && Math.max(...v.slice(0, 65536)) > 0.5);
  await refused(join(shared, "images/faces"), /all images of a data set must have one size/);
});
