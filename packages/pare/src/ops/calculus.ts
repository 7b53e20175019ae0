/** Steps that gradients share: undoing a broadcast, spreading a reduced value, scaling by a constant. */
import type { Emitter } from "../graph/emit.js";
import { sizeOf } from "../graph/tensor.js";

const sameDims = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** The gradient of a broadcast from `to` to `from`: sums over the axes that were repeated. */
export function sumTo(g: Emitter, dy: string, from: readonly number[], to: readonly number[]): string {
  if (sameDims(from, to)) return dy;
  const lead = from.length - to.length;
  const axes = from.flatMap((d, i) => (i < lead || (to[i - lead] === 1 && d !== 1) ? [i] : []));
  const sum = axes.length ? g.reduceSum(dy, axes, true) : dy;
  return lead ? g.reshape(sum, to) : sum;
}

/** Repeats a value of broadcastable shape to `dims`. */
export const spread = (g: Emitter, x: string, dims: readonly number[]): string => g.op("Expand", [x, g.ints(dims)]);

/** `dims` with length 1 at `axes`. */
export const kept = (dims: readonly number[], axes: readonly number[]): number[] =>
  dims.map((d, i) => (axes.includes(i) ? 1 : d));

/** A value shaped like `dims` reduced over `axes`, with the reduced axes back as length 1. */
export const unreduce = (g: Emitter, x: string, dims: readonly number[], axes: readonly number[]): string =>
  g.reshape(x, kept(dims, axes));

export const times = (g: Emitter, x: string, factor: number): string =>
  factor === 1 ? x : factor === -1 ? g.op("Neg", [x]) : g.op("Mul", [x, g.scalar(factor)]);

/** dy where `condition` holds, else 0. */
export const gate = (g: Emitter, condition: string, dy: string): string => g.op("Where", [condition, dy, g.scalar(0)]);

export const zeros = (g: Emitter, dims: readonly number[]): string =>
  sizeOf(dims) <= 1 ? g.full(0, dims) : spread(g, g.scalar(0), dims);
