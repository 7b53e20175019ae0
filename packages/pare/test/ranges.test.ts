/** Ranges from statistics: rules on hand-made distributions, and the entropy search against one written straight from its description. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { entropyThreshold, rangeMethods, rangeOf } from "../dist/calibrate/ranges.js";
import type { Statistics } from "../dist/calibrate/statistics.js";
import { randomFrom } from "./support/expose.js";

const extremes = (x: readonly number[]): [number, number] =>
  x.reduce<[number, number]>(
    ([a, b], v) => [Math.min(a, v), Math.max(b, v)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
/** Statistics of these numbers, as calibration would have them: 0 in the middle of a bin. */
function statisticsOf(x: readonly number[], bins = 2048): Statistics {
  const [min, max] = extremes(x);
  const width = (Math.max(0, max) - Math.min(0, min)) / bins;
  const [first, last] = [Math.round(min / width), Math.round(max / width)];
  const counts = new Float64Array(last - first + 1);
  for (const v of x) counts[Math.round(v / width) - first]!++;
  const power = x.reduce((a, b) => a + b * b, 0) / x.length;
  const histogram = { low: (first - 0.5) * width, high: (last + 0.5) * width, counts };
  return { min, max, count: x.length, power, histogram, channels: null };
}
const random = randomFrom(5);
const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const bell = Array.from({ length: 200_000 }, normal);
const withOutliers = [...bell, 60, -60];
const rectified = [...bell.map((v) => Math.max(0, v)), 40];

/** Squared error of a grid of 2^bits levels over a range. */
function lossOf(x: readonly number[], [low, high]: readonly [number, number], bits: number): number {
  const scale = (high - low) / (2 ** bits - 1);
  return (
    x.reduce((sum, v) => sum + (v - Math.min(high, Math.max(low, scale * Math.round(v / scale)))) ** 2, 0) / x.length
  );
}

test("every rule stays within the extremes, contains 0, and takes constants and zeros", () => {
  for (const method of rangeMethods)
    for (const x of [bell, withOutliers, rectified, [3, 4, 5], [-2, -1], [0, 0], [0, 1e-20]]) {
      const s = statisticsOf(x.some((v) => v !== 0) ? x : [0, 0, 1]);
      const [min, max] = extremes(x);
      const [low, high] = rangeOf({ ...s, min, max }, method, { bits: 8 });
      assert.ok(
        low <= 0 && high >= 0 && low >= Math.min(0, min) && high <= Math.max(0, max),
        `${method} [${low}, ${high}]`,
      );
    }
  assert.deepEqual(rangeOf(statisticsOf([3, 4, 5]), "min-max", { bits: 8 }), [0, 5]);
});

test("percentile cuts what is beyond it", () => {
  const x = Array.from({ length: 1000 }, (_, i) => (i < 990 ? (i % 100) / 100 : 10));
  const [low, high] = rangeOf(statisticsOf(x), "percentile", { bits: 8, percentile: 99 });
  assert.equal(low, 0);
  assert.ok(Math.abs(high - 0.99) < 0.01, `${high}`);
  assert.equal(rangeOf(statisticsOf(x), "percentile", { bits: 8, percentile: 100 })[1], 10);
  const both = rangeOf(statisticsOf(withOutliers), "percentile", { bits: 8, percentile: 99.9 });
  assert.ok(Math.abs(both[1] - 3.29) < 0.15 && Math.abs(both[0] + 3.29) < 0.15, `${both}`);
  assert.throws(() => rangeOf(statisticsOf(x), "percentile", { bits: 8, percentile: 0 }), /percentile 0/);
});

/** The search as the talk describes it, bin by bin. */
function referenceSearch(given: Float64Array, width: number, levels: number): number {
  const counts = [...given];
  counts[0] = counts[1]!;
  const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (let i = levels; i <= counts.length; i++) {
    const kept = counts.slice(0, i);
    const p = [...kept];
    p[p.findLastIndex((c) => c > 0)]! += sum(counts.slice(i));
    const q = Array<number>(i).fill(0);
    for (let j = 0; j < levels; j++) {
      const [from, to] = [Math.floor((j * i) / levels), Math.floor(((j + 1) * i) / levels)];
      const part = kept.slice(from, to);
      const filled = part.filter((c) => c > 0).length;
      for (let k = from; k < to; k++) if (kept[k]! > 0) q[k] = sum(part) / filled;
    }
    const [sumP, sumQ] = [sum(p), sum(q)];
    const kl = sum(p.map((c, k) => (c > 0 ? (c / sumP) * Math.log(c / sumP / (q[k]! / sumQ)) : 0)));
    if (kl <= least + 1e-12) [best, least] = [(i - 0.5) * width, Math.min(kl, least)];
  }
  return best;
}

test("the entropy search finds what the search written out finds", () => {
  for (const [seed, levels] of [
    [1, 16],
    [2, 32],
    [3, 16],
  ] as const) {
    const r = randomFrom(seed);
    const counts = Float64Array.from({ length: 300 }, (_, k) =>
      r() < 0.3 ? 0 : Math.floor(1000 * Math.exp(-k / 25) * r() * 3),
    );
    counts[299] = 2;
    counts[0] = 1e6;
    counts[1] = 900;
    const found = entropyThreshold({ counts, width: 0.1 }, () => levels);
    assert.ok(Math.abs(found - referenceSearch(counts, 0.1, levels)) < 1e-9, `seed ${seed}`);
    assert.ok(found < 29.95, "cuts nothing");
  }
});

test("the entropy search cuts outliers and keeps an even distribution whole", () => {
  const [low, high] = rangeOf(statisticsOf(withOutliers), "entropy", { bits: 8 });
  assert.ok(high < 12 && high > 2 && low > -12 && low < -2, `[${low}, ${high}]`);
  const top = rangeOf(statisticsOf(rectified), "entropy", { bits: 8 });
  assert.ok(top[0] === 0 && top[1] < 12 && top[1] > 2, `[${top}]`);
  const even = Array.from({ length: 100_000 }, (_, i) => i / 100_000);
  assert.ok(rangeOf(statisticsOf(even), "entropy", { bits: 8 })[1] > 0.98);
});

test("the mean square search is as good as an exhaustive one", () => {
  for (const bits of [3, 4, 8])
    for (const x of [bell.slice(0, 5_000), [...bell.slice(0, 5_000), 30], rectified.slice(-5_000)]) {
      const found = lossOf(x, rangeOf(statisticsOf(x), "mse", { bits }), bits);
      const [min, max] = extremes([0, ...x]);
      let least = Number.POSITIVE_INFINITY;
      for (let t = 1; t <= 200; t++) {
        const reach = (Math.max(-min, max) * t) / 200;
        least = Math.min(least, lossOf(x, [Math.max(min, -reach), Math.min(max, reach)], bits));
      }
      assert.ok(found <= least * 1.02 + 1e-12, `${bits} bits: ${found} against ${least}`);
      assert.ok(found <= lossOf(x, [min, max], bits) * 1.0001);
    }
});

test("infinite values and missing histograms are refused", () => {
  const s = statisticsOf([1, 2]);
  assert.throws(() => rangeOf({ ...s, min: Number.NEGATIVE_INFINITY }, "min-max", { bits: 8 }), /no finite range/);
  assert.throws(() => rangeOf({ ...s, histogram: null }, "mse", { bits: 8 }), /without a histogram/);
});
