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
 * a contraction; nor are preprocessing and running statistics.
 */
export function parametersOf(graph: Graph, frozen: ReadonlySet<string> = new Set()): Parameter[] {
  const aside = preprocessing(graph);
  const fromData = new Set(feeds(graph).map((v) => v.name));
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
    const record = recordOf(node);
    const weights = record?.quant === "weights";
    for (const [i, name] of node.inputs.entries()) {
      const tensor = graph.initializers.get(name);
      if (tensor?.type !== "float32" || frozen.has(name) || aside.has(name) || found.has(name)) continue;
      if (record?.untrained?.includes(i)) continue;
      if (weights || sizeOf(tensor.dims) > 1) found.set(name, { name, dims: tensor.dims, decays: false });
    }
    if (weights) for (const name of node.inputs) if (!fromData.has(name)) decay(name);
    const roots = new Set(node.inputs.flatMap((x) => [...(behind.get(x) ?? [x])]));
    const meetsData = node.inputs.some((x) => fromData.has(x));
    for (const o of node.outputs) {
      if (meetsData) fromData.add(o);
      else behind.set(o, roots);
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
    const others = node.inputs.filter((x) => x !== "" && !raw.has(x));
    if (others.some((x) => !graph.initializers.has(x))) continue;
    const floats = others.filter((x) => graph.initializers.get(x)!.type === "float32");
    if (floats.length > 0 && (recordOf(node)?.quant !== "arithmetic" || node.inputs.length !== 2)) continue;
    for (const name of floats) aside.add(name);
    for (const o of node.outputs) raw.add(o);
  }
  return aside;
}
