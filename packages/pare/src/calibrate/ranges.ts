/** What calibration knows of a value enters, the range that its integers shall cover leaves. */
import { PareError } from "../graph/error.js";
import type { Statistics } from "./statistics.js";

export type RangeMethod = "min-max" | "percentile" | "entropy" | "mse";
export const rangeMethods: readonly RangeMethod[] = ["min-max", "percentile", "entropy", "mse"];

export interface RangeOptions {
  /** Of the integers: 2^bits levels. */
  readonly bits: number;
  /** Share of the elements, in percent of |x|, that "percentile" keeps; 99.99 unless said. */
  readonly percentile?: number;
}
/** Always low <= 0 <= high. */
export type Range = readonly [low: number, high: number];

/**
 * The range by one of four rules, all within the extremes that were seen. "min-max": everything. "percentile": up to the percentile of |x|.
 * "entropy": up to the threshold that loses the least information (TensorRT's search). "mse": the range of least squared error, clipping and
 * rounding together. Throws where the value was infinite, or where a rule other than "min-max" has no histogram to go by.
 */
export function rangeOf(statistics: Statistics, method: RangeMethod, options: RangeOptions): Range {
  const [low, high] = [Math.min(0, statistics.min), Math.max(0, statistics.max)];
  if (!Number.isFinite(low) || !Number.isFinite(high))
    throw new PareError(`the value reaches from ${statistics.min} to ${statistics.max}: it has no finite range`);
  if (method === "min-max" || low === high) return [low, high];
  const { histogram } = statistics;
  if (!histogram) throw new PareError(`range by ${method}: the value was calibrated without a histogram`, "usage");
  if (method === "mse") return leastError(histogram, [low, high], options.bits);
  const folded = fold(histogram);
  const threshold =
    method === "percentile"
      ? percentileOf(folded, options.percentile ?? 99.99)
      : entropyThreshold(folded, (t) => Math.round((2 ** options.bits * t) / (Math.min(t, high) - Math.max(-t, low))));
  return [Math.max(low, -threshold), Math.min(high, threshold)];
}

/** Counts of |x|: bin k covers (k - 0.5) x width to (k + 0.5) x width, so that bin 0 is half as wide. */
export interface Folded {
  readonly counts: Float64Array;
  readonly width: number;
}

/** About 2,048 bins or less; 0 is taken to lie in the middle of a bin. */
function fold({ low, high, counts }: NonNullable<Statistics["histogram"]>): Folded {
  const width = (high - low) / counts.length;
  const first = Math.round(low / width + 0.5);
  const largest = Math.max(Math.abs(first), Math.abs(first + counts.length - 1));
  // Odd, so that 0 stays in the middle of a bin.
  const group = Math.max(1, 2 * Math.round(largest / 4096) - 1);
  const out = new Float64Array(Math.round(largest / group) + 1);
  counts.forEach((count, k) => {
    out[Math.round(Math.abs(first + k) / group)]! += count;
  });
  return { counts: out, width: width * group };
}

const sumOf = (counts: Float64Array): number => counts.reduce((a, b) => a + b, 0);

/** The upper edge of the bin in which the percentile of |x| lies. */
function percentileOf({ counts, width }: Folded, percentile: number): number {
  if (!(percentile > 0 && percentile <= 100))
    throw new PareError(`percentile ${percentile}: give a number above 0, at most 100`, "usage");
  const kept = (sumOf(counts) * percentile) / 100;
  let seen = 0;
  for (let k = 0; k < counts.length; k++) {
    seen += counts[k]!;
    if (seen >= kept) return (k + 0.5) * width;
  }
  return (counts.length - 0.5) * width;
}

const mostThresholds = 512;

/**
 * Migacz: 8-bit inference with TensorRT, GTC 2017. For every number i of kept bins: P is the kept counts with the tail added to the last; Q
 * spreads the sum of each of the `levels` groups of kept bins evenly over those that hold something; the i of least KL(P || Q) wins.
 *
 * Differs from the talk:
 * - Bin 0 counts as bin 1: 0 is on every grid, and the zeros of a ReLU would otherwise outweigh everything.
 * - The tail is added to the last kept bin that holds something: an empty one would have the tail in P and nothing in Q, infinitely far.
 * - Groups differ by at most one bin in length, instead of the last taking what is left.
 * - `levels` follows the sign of the value: of 2^bits levels, as many as lie above 0.
 * - Of more than 512 thresholds, evenly spaced ones are tried.
 * - With sums from the left, a candidate costs `levels` steps, not as many as there are bins.
 */
export function entropyThreshold({ counts: given, width }: Folded, levelsAt: (threshold: number) => number): number {
  const counts = given.slice();
  if (counts.length > 1) counts[0] = counts[1]!;
  const n = counts.length;
  const [sums, filled, logs] = [new Float64Array(n + 1), new Float64Array(n + 1), new Float64Array(n + 1)];
  counts.forEach((c, k) => {
    sums[k + 1] = sums[k]! + c;
    filled[k + 1] = filled[k]! + (c > 0 ? 1 : 0);
    logs[k + 1] = logs[k]! + (c > 0 ? c * Math.log(c) : 0);
  });
  const total = sums[n]!;
  const edge = (i: number): number => (i - 0.5) * width;
  let [best, least] = [edge(n), Number.POSITIVE_INFINITY];
  let last = 0;
  const step = Math.ceil(n / mostThresholds);
  for (let i = 1; i <= n; i++) {
    if (counts[i - 1]! > 0) last = counts[i - 1]!;
    const [kept, levels] = [sums[i]!, levelsAt(edge(i))];
    if (i < levels || kept === 0 || (n - i) % step) continue;
    const tail = total - kept;
    let cross = 0;
    let ofLast = 0;
    for (let j = 0, from = 0; j < levels; j++) {
      const to = Math.floor(((j + 1) * i) / levels);
      const sum = sums[to]! - sums[from]!;
      if (sum > 0) {
        ofLast = Math.log(sum / (filled[to]! - filled[from]!));
        cross += sum * ofLast;
      }
      from = to;
    }
    // sum of P log P and of P log Q before both are divided by their sums; the last filled bin of P has the tail.
    const own = logs[i]! - last * Math.log(last) + (last + tail) * Math.log(last + tail);
    const divergence = (own - cross - tail * ofLast) / total - Math.log(total) + Math.log(kept);
    // A tie goes to the wider range.
    if (divergence <= least) [best, least] = [edge(i), divergence];
  }
  return best;
}

/** Steps of the search in either direction. */
const candidates = 48;
const rounds = 2;
/** Bins that the search looks at, and up to three times as many. */
const fewBins = 1024;

/** Both ends by turns, from the full range on: what is left of an end is tried in equal steps, then finer about the best. */
function leastError(histogram: NonNullable<Statistics["histogram"]>, [low, high]: Range, bits: number): Range {
  const error = errors(histogram, bits);
  // First both ends together: a lone outlier must not keep the other end from moving.
  const reach = Math.max(-low, high);
  const clip = (t: number): Range => [Math.max(low, -t), Math.min(high, t)];
  let best = clip(lowest(0, reach, (t) => error(clip(t))));
  for (let round = 0; round < rounds; round++) {
    const [from, to] = best;
    const lowEnd = low < 0 ? -lowest(0, -low, (t) => error([-t, to])) : 0;
    const next: Range = [lowEnd, high > 0 ? lowest(0, high, (t) => error([lowEnd, t])) : 0];
    if (error(next) >= error([from, to])) break;
    best = next;
  }
  return error(best) < error([low, high]) ? best : [low, high];
}

/** Where f, from just above `from` to `to`, is lowest; the larger of equals. */
function lowest(from: number, to: number, f: (t: number) => number): number {
  let [best, least, step] = [to, f(to), (to - from) / candidates];
  for (let fine = 0; fine < 2; fine++, step /= 6) {
    const middle = best;
    const [first, last] = fine ? [middle - 5 * step, middle + 5 * step] : [from + step, to - step];
    for (let t = last; t >= first - step / 2; t -= step) {
      if (t <= from || t > to) continue;
      const e = f(t);
      if (e < least) [best, least] = [t, e];
    }
  }
  return best;
}

/** Sum of squared errors of a range whose 2^bits levels have 0 among them, each bin's elements taken to lie in its middle. */
function errors({ low, high, counts }: NonNullable<Statistics["histogram"]>, bits: number): (range: Range) => number {
  const narrow = (high - low) / counts.length;
  // Odd, so that 0 stays in the middle of a bin.
  const group = 2 * Math.floor(counts.length / fewBins / 2) + 1;
  const width = narrow * group;
  const sums = new Map<number, [weight: number, moment: number]>();
  counts.forEach((count, k) => {
    if (!count) return;
    const centre = low + (k + 0.5) * narrow;
    const sum = sums.get(Math.round(centre / width)) ?? [0, 0];
    sums.set(Math.round(centre / width), [sum[0] + count, sum[1] + count * centre]);
  });
  const weight = Float64Array.from(sums.values(), ([w]) => w);
  const x = Float64Array.from(sums.values(), ([w, moment]) => moment / w);
  const levels = 2 ** bits - 1;
  return ([from, to]) => {
    const scale = (to - from) / levels;
    if (!(scale > 0)) return Number.POSITIVE_INFINITY;
    // Steps finer than bins: elements of a bin lie anywhere between two levels.
    const within = scale < width ? (scale * scale) / 12 : null;
    const perScale = 1 / scale;
    let sum = 0;
    for (let k = 0; k < x.length; k++) {
      const v = x[k]!;
      if (v > to) sum += weight[k]! * (v - to) ** 2;
      else if (v < from) sum += weight[k]! * (from - v) ** 2;
      else sum += weight[k]! * (within ?? (v - scale * Math.floor(v * perScale + 0.5)) ** 2);
    }
    return sum;
  };
}
