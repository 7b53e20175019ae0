/** What stands beside the weights: Graph -> its float32 vectors (biases, normalisation), which float32 would let dominate a small file. */

import { roundToFloat16 } from "../graph/float16.js";
import type { Graph, Node } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";

export interface SideTensor {
  readonly name: string;
  readonly node: Node;
  readonly values: Float32Array;
  /** Read as a bias by an operator that has weights: it may share values through a codebook. */
  readonly bias: boolean;
}

/** The float32 initialisers of the main graph that lie along one axis, in the order of the nodes. */
export function sideTensors(graph: Graph): SideTensor[] {
  const found = new Map<string, SideTensor>();
  for (const node of graph.nodes) {
    const bias = recordOf(node)?.quant === "weights";
    for (const name of node.inputs) {
      const t = graph.initializers.get(name);
      if (t?.type !== "float32" || found.has(name) || sizeOf(t.dims) < 2) continue;
      if (t.dims.filter((d) => d !== 1).length > 1) continue;
      found.set(name, { name, node, values: float32sOf(t), bias });
    }
  }
  return [...found.values()];
}

/** Values rounded to float16; null where one would overflow, so that the tensor must stay float32. */
export function toFloat16(values: Float32Array): Float32Array | null {
  const rounded = values.map(roundToFloat16);
  return rounded.every((v, i) => Number.isFinite(v) || !Number.isFinite(values[i]!)) ? rounded : null;
}
