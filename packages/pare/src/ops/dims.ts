/** Arithmetic on axis lengths that may be symbols. Shapes in, shapes out; contradictions are errors that name the node. */
import { PareError } from "../graph/error.js";
import type { Dim, Node, Shape } from "../graph/graph.js";

/** `Conv "layer1/conv"`: how errors name a node. */
export const where = (node: Node): string => {
  const type = node.domain ? `${node.domain}.${node.op}` : node.op;
  const name = node.name || node.outputs.find((o) => o !== "");
  return name ? `${type} "${name}"` : type;
};
/** Throws a PareError that leads with the node. */
export function reject(node: Node, why: string): never {
  throw new PareError(`${where(node)}: ${why}`);
}

/** The shape as numbers, or null while any length is unknown. */
export const fixed = (shape: Shape | null | undefined): readonly number[] | null =>
  shape?.every((d) => typeof d === "number") ? (shape as readonly number[]) : null;

/** The product; a lone symbol among ones survives; "" where it is unknown. */
export function product(dims: Shape): Dim {
  if (dims.includes(0)) return 0;
  const symbols = dims.filter((d) => typeof d === "string");
  const number = dims.reduce<number>((p, d) => (typeof d === "number" ? p * d : p), 1);
  if (symbols.length === 0) return number;
  return symbols.length === 1 && number === 1 ? symbols[0]! : "";
}
/** The sum; a lone symbol plus zero survives. */
export function sum(dims: Shape): Dim {
  const symbols = dims.filter((d) => typeof d === "string");
  const number = dims.reduce<number>((p, d) => (typeof d === "number" ? p + d : p), 0);
  if (symbols.length === 0) return number;
  return symbols.length === 1 && number === 0 ? symbols[0]! : "";
}
/** Applies an integer function where the length is known. */
export const over = (d: Dim, f: (n: number) => number): Dim => (typeof d === "number" ? f(d) : "");

/** Two statements about one length: the better-known one; undefined where two numbers contradict. */
export function agree(a: Dim, b: Dim): Dim | undefined {
  if (a === b || b === "") return a;
  if (a === "") return b;
  if (typeof a === "number") return typeof b === "number" ? undefined : a;
  return typeof b === "number" ? b : a;
}
/** ONNX broadcasting of two shapes; undefined where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let d = 0; d < rank; d++) {
    const p = a[a.length - rank + d] ?? 1;
    const q = b[b.length - rank + d] ?? 1;
    if (p === 1) out.push(q);
    else if (q === 1) out.push(p);
    else if (typeof p === "number" || typeof q === "number") {
      const both = agree(p, q);
      if (both === undefined) return undefined;
      out.push(both);
    } else out.push(p === q ? p : "");
  }
  return out;
}

/** An axis as 0..rank-1. Throws where it is out of range. */
export function axisOf(node: Node, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    reject(node, `axis ${axis} is not in -${rank}..${rank - 1} of a rank-${rank} tensor`);
  return axis < 0 ? axis + rank : axis;
}
/** Axes as distinct numbers 0..rank-1, in the order given. */
export function axesOf(node: Node, axes: readonly number[], rank: number): number[] {
  const out = axes.map((a) => axisOf(node, a, rank));
  if (new Set(out).size !== out.length) reject(node, `axes [${axes}] name one axis twice`);
  return out;
}
