/** Which initialisers of a graph are trained: weights, biases, scales; not the constants of preprocessing. */
import type { Graph, Node, Tensor } from "../graph/graph.js";
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
 * a contraction; nor is one that meets the graph's data in a binary operator before any weight does (mean and scale of the pixels).
 */
export function parametersOf(graph: Graph, frozen: ReadonlySet<string> = new Set()): Parameter[] {
  const fromData = new Set(feeds(graph).map((v) => v.name));
  const learned = new Set<string>();
  const found = new Map<string, Parameter>();
  // Initialisers behind a name that no data has reached: a weight may be reshaped or transposed before its layer reads it.
  const behind = new Map<string, ReadonlySet<string>>();
  const decay = (name: string): void => {
    for (const root of behind.get(name) ?? [name]) {
      const p = found.get(root);
      if (p && p.dims.length >= 2) found.set(root, { ...p, decays: true });
    }
  };
  for (const node of graph.nodes) {
    const weights = recordOf(node)?.quant === "weights";
    const meetsData = node.inputs.some((x) => fromData.has(x));
    const meetsRawData = node.inputs.length === 2 && meetsData && !node.inputs.some((x) => learned.has(x));
    for (const name of node.inputs) {
      const tensor = graph.initializers.get(name);
      if (!tensor || !isCandidate(tensor, node, weights, meetsRawData) || frozen.has(name)) continue;
      learned.add(name);
      if (!found.has(name)) found.set(name, { name, dims: tensor.dims, decays: false });
    }
    if (weights) for (const name of node.inputs) if (!fromData.has(name)) decay(name);
    const roots = new Set(node.inputs.flatMap((x) => [...(behind.get(x) ?? [x])]));
    for (const o of node.outputs) {
      if (meetsData) fromData.add(o);
      else behind.set(o, roots);
      if (node.inputs.some((x) => learned.has(x))) learned.add(o);
    }
  }
  return [...found.values()];
}

function isCandidate(tensor: Tensor, node: Node, weights: boolean, meetsRawData: boolean): boolean {
  if (tensor.type !== "float32") return false;
  if (weights) return true;
  return sizeOf(tensor.dims) > 1 && (!meetsRawData || node.op === "Gather");
}
