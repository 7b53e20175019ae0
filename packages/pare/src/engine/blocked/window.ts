/** A convolution's or pooling's attributes with their defaults: a node comes in, numbers go out. */
import type { Node } from "../../graph/graph.js";

type Pair = readonly [number, number];
/** A 2-D sliding window. `pads` is top, left, bottom, right. */
export interface Window {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  readonly pads: readonly [number, number, number, number];
  readonly group: number;
}

export function intsOf(node: Node, name: string): readonly number[] | null {
  const a = node.attributes[name];
  return a?.kind === "ints" ? a.value.map(Number) : null;
}
export function numberOf(node: Node, name: string, fallback: number): number {
  const a = node.attributes[name];
  return a?.kind === "int" ? Number(a.value) : a?.kind === "float" ? a.value : fallback;
}

/** The node's window; null where it is not 2-D or its padding is not written out. `kernel` stands in for a missing kernel_shape. */
export function windowOf(node: Node, kernel?: readonly number[]): Window | null {
  const size = intsOf(node, "kernel_shape") ?? kernel;
  const auto = node.attributes.auto_pad;
  if (size?.length !== 2 || (auto?.kind === "string" && auto.value !== "NOTSET" && auto.value !== "VALID")) return null;
  const pads = intsOf(node, "pads") ?? [0, 0, 0, 0];
  if (pads.some((p) => p < 0)) return null;
  return {
    kernel: size as unknown as Pair,
    strides: (intsOf(node, "strides") ?? [1, 1]) as unknown as Pair,
    dilations: (intsOf(node, "dilations") ?? [1, 1]) as unknown as Pair,
    pads: pads as unknown as Window["pads"],
    group: numberOf(node, "group", 1),
  };
}
