/** Data modules of the user: read, and answered for when they fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, openSplits } from "../dist/data/open.js";
import { everything, labels, put, refused } from "./data-files.js";

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
  await refused(module("export default [{ x: 1, label: 0.5 }]"), /sample 0: label 0.5 is not a class index/);
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
