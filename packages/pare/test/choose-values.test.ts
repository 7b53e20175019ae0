import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates, choose, ladderFor, type Shareable, survivors } from "../dist/methods/choose-values.js";
import { largestWithin } from "../dist/methods/largest-within.js";
import { type Assignment, assign, pricesOf } from "../dist/methods/quantize/rate-distortion.js";
import { codebookOf, expand } from "../dist/methods/shared-values.js";

/** A pruned tensor of 40 x 50 whose survivors matter more the further down they stand. */
function tensor(seed: number): Shareable {
  const values = new Float32Array(2000);
  const importance = new Float32Array(2000);
  let state = seed;
  for (let i = 0; i < 2000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const u = state / 2 ** 32;
    if (u < 0.2) values[i] = (u - 0.1) * (i % 3 === 0 ? 8 : 2);
    importance[i] = i / 2000;
  }
  return { name: `t${seed}`, values, importance };
}
const o = { init: "linear", seed: 0, weighted: true } as const;

test("more values cost more bytes and less loss, and the budget is kept", () => {
  const lists = [tensor(1), tensor(2), tensor(3)].map((t) => candidates(t, ladderFor(63), o));
  for (const list of lists) assert.ok(list[0]!.lossRise > list.at(-1)!.lossRise && list[0]!.bytes < list.at(-1)!.bytes);
  let before = Number.POSITIVE_INFINITY;
  for (const budget of [0.02, 0.1, 0.5, 2, 10]) {
    const chosen = choose(lists, budget);
    const rise = chosen.reduce((sum, c) => sum + c.lossRise, 0);
    const bytes = chosen.reduce((sum, c) => sum + c.bytes, 0);
    assert.ok(rise <= budget, `${rise} > ${budget}`);
    assert.ok(bytes <= before);
    before = bytes;
  }
});

test("assignment trades loss for bits: at price 0 the nearest value, at more fewer bits and weights", () => {
  const t = tensor(4);
  const start = codebookOf(2000, survivors(t).at, candidates(t, [5], o)[0]!.clusters);
  const prices = pricesOf(start, [40, 50]);
  const free = assign(t, start, prices, 0);
  for (const i of survivors(t).at) {
    const chosen = Math.abs(t.values[i]! - expand(free.book)[i]!);
    for (const c of free.book.centroids) assert.ok(chosen <= Math.abs(t.values[i]! - c) + 1e-6);
  }
  const cost = ({ book }: Assignment) =>
    survivors(t, 1e-3).at.reduce(
      (sum, i, j) => sum + 0.5 * survivors(t, 1e-3).weights[j]! * (t.values[i]! - expand(book)[i]!) ** 2,
      0,
    );
  let [bits, rise] = [Number.POSITIVE_INFINITY, -1];
  for (const lambda of [1e-5, 1e-3, 1e-2, 1e-1]) {
    const a = assign(t, start, prices, lambda);
    assert.ok(a.bits <= bits && cost(a) >= rise, `lambda ${lambda}: ${a.bits} bits, rise ${cost(a)}`);
    assert.ok(
      a.book.indices.every((k, i) => k === 0 || t.values[i] !== 0),
      "a pruned weight came back",
    );
    [bits, rise] = [a.bits, cost(a)];
  }
});

test("the largest setting within a budget, whatever the scale", async () => {
  for (const scale of [1e-4, 1e-3, 50, 1e4]) {
    const x = await largestWithin(async (y) => y * scale, 1e-4 * scale, 1e-6);
    assert.ok(x <= 1e-4 && x >= 0.9e-4, `${x}`);
  }
  for (const limit of [3e-11, 4e-7, 0.2]) {
    const x = await largestWithin(async (y) => (y > limit ? 1 : 0), 0.5, 1e-6);
    assert.ok(x <= limit && x >= limit / 1.1);
  }
  assert.equal(await largestWithin(async () => 1, 0.5, 1e-6), 0);
});
