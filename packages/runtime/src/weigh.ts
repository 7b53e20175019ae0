/** What a tensor would cost under a plan: the model runs, and only counts. */
import { BitCounter } from "./bit-counter.js";
import { Fields } from "./fields.js";
import type { Tensor } from "./model.js";
import type { Earlier } from "./plane.js";
import { type Plan, tensorContents } from "./tensors.js";

/** Elements that are enough to compare codings by. */
export const sampleSize = 1 << 15;

/** Bits of the whole tensor. */
export function bitsOf(t: Tensor, plan: Plan, earlier: Earlier): number {
  const counter = new BitCounter();
  tensorContents(counter, new Fields(counter), earlier.copy(), t, plan);
  return counter.bits;
}

/** The candidate of the lowest cost; the first of equals. */
export function cheapest<T>(candidates: readonly T[], cost: (c: T) => number): T {
  if (candidates.length === 1) return candidates[0]!;
  const costs = candidates.map(cost);
  return candidates[costs.indexOf(Math.min(...costs))]!;
}
