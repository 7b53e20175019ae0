/** Which tensors of a graph the methods work on: Graph -> the weights of its contractions, and what was left alone and why. */
import { type Draft, draft, type Graph, type Node } from "../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { at } from "../ops/site.js";
import type { Note } from "./method.js";

export interface Weight {
  /** The initialiser. */
  readonly name: string;
  /** The first node that reads it. */
  readonly node: Node;
  readonly dims: readonly number[];
  /** A view: do not write into it. */
  readonly values: Float32Array;
}
export interface Weights {
  readonly weights: readonly Weight[];
  readonly skipped: readonly Note[];
}

/** A bias, also where it is stored as [1, n]: all its elements lie along one axis. */
const isVector = (dims: readonly number[]): boolean => dims.filter((d) => d !== 1).length < 2 && sizeOf(dims) > 1;
const isMatrix = (dims: readonly number[]): boolean => dims.length >= 2 && !isVector(dims);

/**
 * The float32 initialisers of rank >= 2 that operators with the quantization role "weights" read in the main graph, in the order of the nodes;
 * one that several nodes share is listed once. `exclude` names initialisers or nodes; "*" is all.
 */
export function weightsOf(graph: Graph, exclude: readonly string[] = []): Weights {
  const found = new Map<string, Weight>();
  const skipped: Note[] = [];
  const skip = (node: Node, why: string) =>
    skipped.push({ node: node.name || (node.outputs[0] ?? node.op), what: "skipped", why });
  for (const node of graph.nodes) {
    const record = recordOf(node);
    if (!record) {
      if (node.inputs.some((i) => graph.initializers.has(i)))
        skip(node, `${at(node)}: unknown operator, its constants stay as they are`);
      continue;
    }
    if (record.quant !== "weights") continue;
    const names = node.inputs.filter((i) => isMatrix(graph.initializers.get(i)?.dims ?? []));
    if (names.length === 0) skip(node, "its weight is not an initialiser: it is computed while the model runs");
    for (const name of names) {
      const { type, dims } = graph.initializers.get(name)!;
      if (found.has(name)) continue;
      if (exclude.includes("*") || exclude.includes(name) || exclude.includes(node.name))
        skip(node, `"${name}" is excluded by the recipe`);
      else if (type !== "float32") skip(node, `"${name}" is ${type}; only float32 weights are compressed`);
      else found.set(name, { name, node, dims, values: float32sOf(graph.initializers.get(name)!) });
    }
  }
  return { weights: [...found.values()], skipped };
}

/** The graph with these float32 initialisers replaced (dims as before). */
export function withValues(graph: Graph, values: ReadonlyMap<string, Float32Array>): Graph {
  const d: Draft = draft(graph);
  for (const [name, v] of values) d.initializers.set(name, floats(v, graph.initializers.get(name)!.dims));
  return d;
}

/** Elements that a mask keeps. */
export const countAlive = (mask: Uint8Array): number => mask.reduce((n, m) => n + (m ? 1 : 0), 0);
