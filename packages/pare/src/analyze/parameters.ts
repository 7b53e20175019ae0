/** Which initialisers of a graph are trained: weights, biases, scales; not the constants of preprocessing. */
import type { Graph } from "../graph/graph.js";
import { feeds } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";

export interface Parameter {
  readonly name: string;
  readonly dims: readonly number[];
  /** Whether penalties hold on it: weights yes; biases, scales and shifts no. */
  readonly decays: boolean;
}

/**
 * float32 initialisers that a gradient can reach, in the order of their first reader. A constant of one element is none, unless it belongs to
 * a contraction; nor is preprocessing.
 */
export function parametersOf(graph: Graph, frozen: ReadonlySet<string> = new Set()): Parameter[] {
  const aside = preprocessing(graph);
  const found = new Map<string, Parameter>();
  for (const node of graph.nodes) {
    const weights = recordOf(node)?.quant === "weights";
    for (const name of node.inputs) {
      const tensor = graph.initializers.get(name);
      if (tensor?.type !== "float32" || frozen.has(name) || aside.has(name)) continue;
      if (!weights && sizeOf(tensor.dims) <= 1) continue;
      const decays = weights && tensor.dims.length >= 2;
      const known = found.get(name);
      found.set(name, { name, dims: tensor.dims, decays: decays || (known?.decays ?? false) });
    }
  }
  return [...found.values()];
}

/** Constants that meet the graph's data in arithmetic before any weight does: mean and scale of the pixels. */
export function preprocessing(graph: Graph): Set<string> {
  const raw = new Set(feeds(graph).map((v) => v.name));
  const aside = new Set<string>();
  for (const node of graph.nodes) {
    if (!node.inputs.some((x) => raw.has(x))) continue;
    const constants = node.inputs.filter((x) => graph.initializers.get(x)?.type === "float32");
    if (constants.length > 0) {
      if (recordOf(node)?.quant !== "arithmetic" || node.inputs.length !== 2) continue;
      for (const name of constants) aside.add(name);
    }
    for (const o of node.outputs) raw.add(o);
  }
  return aside;
}
