/** Shapes with unknown lengths: broadcasting, axes, products. A Dim is a number, a symbol, or "" for unknown. */
import { PareError } from "../graph/error.js";
import type { Dim, Node, Shape } from "../graph/graph.js";
import { at } from "./site.js";

/** Number of elements, or null where a length is unknown. */
export const countOf = (shape: Shape): number | null =>
  shape.every((d) => typeof d === "number") ? (shape as readonly number[]).reduce((p, d) => p * d, 1) : null;
export const isFixed = (shape: Shape | null): shape is readonly number[] =>
  shape?.every((d) => typeof d === "number") ?? false;

/** Axis -rank..rank-1 as 0..rank-1. Throws PareError outside. */
export function axisIn(node: Node, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!(a >= 0 && a < rank)) throw new PareError(`${at(node)}: axis ${axis} is outside rank ${rank}`);
  return a;
}

/** What two lengths that must be equal say together. Throws PareError where both are known and differ. */
export function sameDim(node: Node, a: Dim, b: Dim, what: string): Dim {
  if (typeof a === "number" && typeof b === "number" && a !== b)
    throw new PareError(`${at(node)}: ${what}: ${a} and ${b} should be equal`);
  return typeof a === "number" ? a : typeof b === "number" ? b : a || b;
}

function broadcastDim(node: Node, a: Dim, b: Dim, shapes: string): Dim {
  if (a === b) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === "number" && typeof b === "number")
    throw new PareError(`${at(node)}: shapes ${shapes} do not broadcast: ${a} against ${b}`);
  // A symbol against a length other than 1 is that length or 1: the result is known either way. Two symbols: unknown.
  return typeof a === "number" ? a : typeof b === "number" ? b : "";
}

/** Multidirectional broadcasting; null where a rank is unknown. Throws PareError where the shapes do not fit. */
export function broadcast(node: Node, shapes: readonly (Shape | null)[]): Shape | null {
  if (shapes.some((s) => s === null)) return null;
  const known = shapes as readonly Shape[];
  const rank = Math.max(0, ...known.map((s) => s.length));
  const text = known.map((s) => `[${s.map((d) => d || "?")}]`).join(", ");
  return Array.from({ length: rank }, (_, d) =>
    known.reduce<Dim>((dim, s) => broadcastDim(node, dim, s[d - rank + s.length] ?? 1, text), 1),
  );
}
