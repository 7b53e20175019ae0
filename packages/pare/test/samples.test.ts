/** Data as the runs of a model take them: shapes that differ, batch axes added or not, several inputs, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { fromArrays } from "../dist/data/from-table.js";
import { open } from "../dist/data/open.js";
import { MissingInputError, openSamples, samplesOf } from "../dist/data/open-samples.js";
import type { NDArray } from "../dist/engine/engine.js";
import { PareError } from "../dist/graph/error.js";
import { draft, emptyGraph, type Graph, type Value } from "../dist/graph/graph.js";
import { put } from "./data-files.js";

const graphOf = (...inputs: readonly Value[]): Graph => ({ ...draft(emptyGraph("g", 17)), inputs: [...inputs] });
const input = (name: string, shape: Value["shape"], type: Value["type"] = "float32"): Value => ({ name, type, shape });
let count = 0;
const module = (code: string): string => put(`samples${count++}.mjs`, code);
const said = ({ type, dims, data }: NDArray): unknown => [type, dims, [...(data as Float32Array)]];

test("a module's samples of differing shapes, with and without a batch axis", async () => {
  const lines = module(`export async function* samples() {
    const held = new Float32Array(6);
    for (let i = 0; i < 4; i++) {
      held.fill(i);
      yield { inputs: { x: { data: held.subarray(0, i + 1), dims: i % 2 ? [1, i + 1] : [i + 1] } }, label: i };
    }
  }`);
  const samples = await openSamples(lines, graphOf(input("x", ["n", "width"])));
  assert.equal(samples.length, 4);
  for (let i = 0; i < 4; i++) {
    assert.deepEqual(said(samples.feeds(i).x!), ["float32", [1, i + 1], Array(i + 1).fill(i)]);
    assert.equal(samples.label(i), i);
  }
  assert.equal(samples.batch([0, 1]), null);
  assert.deepEqual(said(samples.batch([2])!.x!), ["float32", [1, 3], [2, 2, 2]]);
  const bare = module("export default [{ x: [[1, 2, 3], [4, 5, 6]] }]");
  const whole = await openSamples(bare, graphOf(input("x", [2, 3])));
  assert.deepEqual(said(whole.feeds(0).x!), ["float32", [2, 3], [1, 2, 3, 4, 5, 6]]);
  const vectors = module("export default [{ x: [1, 2] }, { x: [3, 4] }]");
  const open = await openSamples(vectors, graphOf(input("x", ["", 2])));
  assert.deepEqual(said(open.batch([1, 0])!.x!), ["float32", [2, 2], [3, 4, 1, 2]]);
  const fixed = await openSamples(vectors, graphOf(input("x", [3, 2])));
  assert.deepEqual(said(fixed.feeds(1).x!), ["float32", [3, 2], [3, 4, 3, 4, 3, 4]]);
  assert.equal(fixed.batch([0, 1]), null);
});

test("several inputs, scalars, states from flat lists, and types as the graph wants them", async () => {
  const m =
    module(`const sample = (i) => ({ inputs: { input: new Float32Array(4).fill(i), state: new Float32Array(8), sr: 16000 } });
    export const data = { length: 1e9, sample };`);
  const graph = graphOf(input("input", ["b", "n"]), input("state", [2, 1, 4]), input("sr", [], "int64"));
  const samples = await openSamples(m, graph, { limit: 1000 });
  assert.equal(samples.length, 1000);
  const fed = samples.feeds(999);
  assert.deepEqual(said(fed.input!), ["float32", [1, 4], Array(4).fill(999_000_000)]);
  assert.deepEqual(
    [fed.state!.dims, said(fed.sr!)],
    [
      [2, 1, 4],
      ["int64", [], [16000n]],
    ],
  );
  const bytes = module("export default [{ x: new Uint8Array([0, 51, 255]) }]");
  const one = async (type: Value["type"]): Promise<unknown> =>
    said((await openSamples(bytes, graphOf(input("x", ["n", 3], type)))).feeds(0).x!);
  assert.deepEqual(await one("uint8"), ["uint8", [1, 3], [0, 51, 255]]);
  assert.deepEqual(await one("int64"), ["int64", [1, 3], [0n, 51n, 255n]]);
  assert.deepEqual(await one("float32"), ["float32", [1, 3], [0, Math.fround(0.2), 1]]);
  assert.deepEqual(await one("float16"), ["float16", [1, 3], [0, 0x3266, 0x3c00]]);
});

test("samples asked for one by one are made once, and kept though their array is written again", async () => {
  const m = module(`const held = new Float32Array(3);
    export const data = { length: 5, made: [], sample(i) { this.made.push(i); return { x: held.fill(i), label: i }; } };`);
  const samples = await openSamples(m, graphOf(input("x", ["n", 3])));
  for (const i of [4, 1, 4, 1, 0]) {
    assert.deepEqual(said(samples.feeds(i).x!), ["float32", [1, 3], [i, i, i]]);
    assert.equal(samples.label(i), i);
  }
  assert.deepEqual(said(samples.batch([1, 4])!.x!), ["float32", [2, 3], [1, 1, 1, 4, 4, 4]]);
  const { data } = await import(pathToFileURL(m).href);
  assert.deepEqual(data.made, [0, 4, 1]);
});

test("whole numbers that float32 lacks come through plain lists as they are", async () => {
  const m = module(`export default [
    { inputs: { ids: [16777217, 3], at: 16777219, x: [0.1, 16777217] } },
    { inputs: { ids: { data: [4, 2 ** 40 + 1], dims: [2] }, at: 5, x: [1, 2] } }]`);
  const graph = graphOf(input("ids", ["n", 2], "int64"), input("at", [], "int64"), input("x", ["n", 2]));
  const samples = await openSamples(m, graph);
  const [a, b] = [samples.feeds(0), samples.feeds(1)];
  assert.deepEqual(said(a.ids!), ["int64", [1, 2], [16777217n, 3n]]);
  assert.deepEqual(said(a.at!), ["int64", [], [16777219n]]);
  assert.deepEqual(said(a.x!), ["float32", [1, 2], [Math.fround(0.1), 16777216]]);
  assert.deepEqual(said(b.ids!), ["int64", [1, 2], [4n, 2n ** 40n + 1n]]);
  const { fields, batch } = await open(m);
  assert.deepEqual(
    fields.map((f) => f.type),
    ["int64", "int64", "float32"],
  );
  assert.deepEqual(said(batch([0, 1]).inputs[0]!), ["int64", [2, 2], [16777217n, 3n, 4n, 2n ** 40n + 1n]]);
});

test("images are normalised by channel, whichever shape they have", async () => {
  const m = module("export default [{ x: { data: new Uint8Array([255, 255, 0, 0]), dims: [2, 1, 2] } }]");
  const x = async (shape: Value["shape"]) =>
    said((await openSamples(m, graphOf(input("x", shape)), { normalize: "0.5,0/0.5,2" })).feeds(0).x!);
  assert.deepEqual(await x(["n", 2, "h", "w"]), ["float32", [1, 2, 1, 2], [1, 1, 0, 0]]);
});

test("an input of unknown rank takes values with a leading axis of 1 as they are, and others as one of a batch", async () => {
  const graph = graphOf(input("x", null));
  const fed = async (dims: string, options = {}): Promise<readonly number[]> => {
    const m = module(`export default [{ x: { data: new Float32Array(12), dims: ${dims} } }]`);
    return (await openSamples(m, graph, options)).feeds(0).x!.dims;
  };
  const normalize = "0.5,0,0/0.5,2,2";
  assert.deepEqual(await fed("[1, 3, 2, 2]", { normalize }), [1, 3, 2, 2]);
  assert.deepEqual(await fed("[3, 2, 2]", { normalize }), [1, 3, 2, 2]);
  assert.deepEqual(await fed("[12]"), [1, 12]);
  // A dataset's samples have no batch axis.
  const grey = fromArrays({ x: new Float32Array(8), dims: [1, 2, 2], y: [0, 1] });
  assert.deepEqual(samplesOf(grey, graph).feeds(1).x!.dims, [1, 1, 2, 2]);
});

test("a split and a limit choose among a module's samples", async () => {
  const m = module(
    "export default Array.from({ length: 20 }, (_, i) => ({ x: Array(1 + (i % 3)).fill(i), label: i }));",
  );
  const graph = graphOf(input("x", ["n", "k"]));
  const labels = async (options: object): Promise<(number | null)[]> => {
    const s = await openSamples(m, graph, options);
    return Array.from({ length: s.length }, (_, i) => s.label(i));
  };
  const [train, held] = [await labels({ split: "train", seed: 3 }), await labels({ split: "validation", seed: 3 })];
  assert.deepEqual([train.length, held.length], [16, 2]);
  assert.ok(held.every((l) => !train.includes(l)));
  assert.deepEqual(await labels({ limit: 4 }), [0, 1, 2, 3]);
  assert.equal((await labels({ split: "train", limit: 4 })).length, 4);
});

test("a dataset is samples too", () => {
  const data = fromArrays({ x: new Uint8Array([0, 255, 51, 102]), dims: [1, 1, 2], y: [1, 0] });
  const samples = samplesOf(data, graphOf(input("x", ["n", 2])));
  assert.deepEqual(said(samples.feeds(1).x!), ["float32", [1, 2], [0.2, 0.4].map(Math.fround)]);
  assert.deepEqual([samples.label(0), samples.label(1)], [1, 0]);
  assert.equal(samples.batch([0, 1])!.x!.dims[0], 2);
});

test("what does not fit is refused in one clear message", async () => {
  const refuse = async (code: string, graph: Graph, pattern: RegExp, kind = PareError): Promise<void> => {
    await assert.rejects(
      openSamples(module(code), graph).then((s) => {
        for (let i = 0; i < s.length; i++) s.feeds(i);
      }),
      (e: unknown) => {
        assert.ok(e instanceof kind, String((e as Error).stack));
        assert.match(e.message, pattern);
        assert.doesNotMatch(e.message, /\n/);
        return true;
      },
    );
  };
  const image = graphOf(input("x", ["n", 3, 4, 4]));
  await refuse("export default []", image, /yields no samples/);
  await refuse("export default { length: 0, sample: () => 0 }", image, /yields no samples/);
  await refuse(
    "export default [{ x: { data: new Float32Array(48), dims: [3, 4, 4] } }, { x: { data: new Float32Array(27), dims: [3, 3, 3] } }]",
    image,
    /"x" wants \[n,3,4,4\].*sample 1 is \[3,3,3\].*resize/,
  );
  await refuse(
    "export default [{ x: { data: new Float32Array(48), dims: [4, 4, 3] } }]",
    image,
    /"x" wants \[n,3,4,4\].*\[4,4,3\].*--layout nhwc/,
  );
  await refuse(
    "export default [{ x: { data: new Float32Array(64), dims: [1, 4, 4, 4] } }]",
    image,
    /"x" wants \[n,3,4,4\].*\[1,4,4,4\]/,
  );
  await refuse(
    "export default [{ x: [1, NaN] }]",
    graphOf(input("x", ["n", 2])),
    /sample 0: input "x" holds NaN \(element 1\)/,
  );
  await refuse(
    "export default [{ x: [1, 1] }, { x: [-1 / 0, 1] }]",
    graphOf(input("x", [1, 2])),
    /sample 1: .*-Infinity/,
  );
  await refuse("export default [{ x: [1, 2.5] }]", graphOf(input("x", [1, 2], "int64")), /"x" takes int64.*2.5/);
  await refuse("export default [{ x: [1, 300] }]", graphOf(input("x", [1, 2], "uint8")), /"x" takes uint8.*300/);
  const pair = graphOf(input("x", ["n", 2]));
  await refuse("export default [{ x: [1, 2], label: 'cat' }]", pair, /sample 0: label "cat" is not a class index/);
  await refuse("export default [{ x: [1, 2], label: 0 }, { x: [1, 2], label: NaN }]", pair, /sample 1: label NaN is/);
  await refuse("export default [{ x: ['a', 'b'] }]", pair, /sample 0, x: lists must hold numbers: element 0 is "a"/);
  await refuse(
    "export default [{ x: { data: [1, 'b'], dims: [2] } }]",
    pair,
    /x: lists must hold numbers: element 1 is "b"/,
  );
  await refuse("export default [{ x: { data: [1n, 2n], dims: [2] } }]", pair, /element 0 is 1n: use a BigInt64Array/);
  await refuse("export default [{ x: [[1, 2], [3]] }]", pair, /must be even.*\[2,2\] needs 4, got 3/);
  const axes = (dims: string) => `export default [{ x: { data: new Float32Array(48), dims: ${dims} } }]`;
  await refuse(axes("[1, 3, 2, 8]"), image, /wants \[n,3,4,4\], the sample is \[1,3,2,8\]: yield arrays of that shape/);
  await refuse(axes("[6, 8]"), image, /both hold as many values, but in other axes: reshape or transpose/);
  await refuse(
    "export default { length: 2, sample() { throw new Error('disk gone'); } }",
    image,
    /sample 0 failed: disk gone/,
  );
  const two = graphOf(input("x", ["n", 1]), input("y", ["n", 1]));
  await refuse(
    "export default [{ inputs: { x: 1 } }]",
    two,
    /input "y" of the model has no data/,
    MissingInputError as typeof PareError,
  );
  await refuse("export default [{ inputs: { x: 1, z: 1 } }]", two, /"z" is no input of the model/);
  await refuse("export default [{ x: 1 }]", graphOf(), /has no inputs/);
  await assert.rejects(openSamples("no-such.mjs", image), /no such file/);
});
