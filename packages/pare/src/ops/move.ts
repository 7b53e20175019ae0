/** What operators that only move elements share: byte-wise folding, letters for their axes, gradients of picking along an axis. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Node, Tensor } from "../graph/graph.js";
import { bitsOf, sizeOf } from "../graph/tensor.js";
import { zeros } from "./calculus.js";
import { isFixed } from "./dims.js";
import { none, type Site } from "./record.js";
import { at } from "./site.js";
import { smallElements, tensorOf } from "./values.js";

/** Throws a PareError that leads with the node. */
export function reject(node: Node, why: string): never {
  throw new PareError(`${at(node)}: ${why}`);
}

/** May a facet build a constant of this shape? Hostile shapes must cost nothing. */
export const foldable = (dims: readonly number[]): boolean => sizeOf(dims) <= smallElements;

/** The tensor whose element k is element `from(k)` of `t`; null for strings and sub-byte types. */
export function moved(t: Tensor, dims: readonly number[], from: (k: number) => number): Tensor | null {
  const width = bitsOf[t.type] / 8;
  if (!foldable(dims) || sizeOf(t.dims) > smallElements || !Number.isInteger(width) || width === 0) return null;
  const bytes = new Uint8Array(sizeOf(dims) * width);
  for (let k = 0; k < sizeOf(dims); k++) {
    const i = from(k) * width;
    bytes.set(t.bytes.subarray(i, i + width), k * width);
  }
  return { type: t.type, dims, bytes };
}
/** Fixed dims of input i / output k of a site, or null. */
export const xDims = (s: Site, i = 0): readonly number[] | null => {
  const shape = s.x[i]?.shape ?? null;
  return isFixed(shape) ? shape : null;
};
export const yDims = (s: Site, k = 0): readonly number[] | null => {
  const shape = s.y[k]?.shape ?? null;
  return isFixed(shape) ? shape : null;
};
/** Row-major strides. */
export const stridesOf = (dims: readonly number[]): number[] => dims.map((_, d) => sizeOf(dims.slice(d + 1)));

/** One pattern per axis: `letters([2,3], (d) => `a${d}`)` is "a0 a1". */
export const letters = (shape: { readonly length: number }, pattern: (d: number) => string): string =>
  Array.from({ length: shape.length }, (_, d) => pattern(d)).join(" ");
export const unknownRank = none("its shape is not known");

/** dx of y = x with `indices` picked along `axis`: dy [.., indices.length, ..] -> dx [.., size, ..]. Several picks of one index add up. */
export function unpick(
  g: Emitter,
  dy: string,
  dims: readonly number[],
  axis: number,
  indices: readonly number[],
): string {
  const size = dims[axis]!;
  const rank = dims.length;
  const run = indices.every((k, i) => k === indices[0]! + i);
  const pads = (before: number, after: number) => {
    const p = Array<number>(2 * rank).fill(0);
    p[axis] = before;
    p[axis + rank] = after;
    return g.ints(p);
  };
  if (indices.length === 0) return zeros(g, dims);
  if (run) {
    if (indices.length === size) return dy;
    return g.op("Pad", [dy, pads(indices[0]!, size - indices[0]! - indices.length), g.scalar(0)]);
  }
  if (new Set(indices).size === indices.length) {
    const padded = g.op("Pad", [dy, pads(0, 1), g.scalar(0)]);
    const back = Array<number>(size).fill(indices.length);
    indices.forEach((k, i) => {
      back[k] = i;
    });
    return g.op("Gather", [padded, g.ints(back)], { axis });
  }
  return scatterAdd(g, dy, dims, axis, g.constant(column(indices)), 1);
}
const column = (indices: readonly number[]): Tensor => tensorOf("int64", [indices.length, 1], indices)!;

/** zeros(dims) with dy added at `indices` [.., 1] along `axis`; in dy the indices' own axes (`width` of them) stand in the axis' place. */
export function scatterAdd(
  g: Emitter,
  dy: string,
  dims: readonly number[],
  axis: number,
  indices: string,
  width: number,
): string {
  const rank = dims.length;
  const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
  const front = [...range(axis, width), ...range(0, axis), ...range(axis + width, rank - 1 - axis)];
  const turned = axis === 0 ? dy : g.transpose(dy, front);
  const order = [axis, ...range(0, axis), ...range(axis + 1, rank - 1 - axis)];
  const blank = zeros(
    g,
    order.map((d) => dims[d]!),
  );
  const sum = g.op("ScatterND", [blank, indices, turned], { reduction: "add" });
  if (axis === 0) return sum;
  return g.transpose(sum, inverse(order));
}
export const inverse = (perm: readonly number[]): number[] => {
  const out = Array<number>(perm.length).fill(0);
  perm.forEach((p, i) => {
    out[p] = i;
  });
  return out;
};
