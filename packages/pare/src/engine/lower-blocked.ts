/** A training graph with composite nodes comes in; the same computation on onnxruntime's blocked convolutions goes out, the rest of the composite nodes untouched. */
import type { Graph, Node } from "../graph/graph.js";
import { batchNormTraining, batchNormTrainingGrad } from "./blocked/batch-norm.js";
import { conv } from "./blocked/conv.js";
import { convInputGrad } from "./blocked/conv-input-grad.js";
import { convWeightGrad } from "./blocked/conv-weight-grad.js";
import { elementwise, elementwiseOps, relu, reluGrad } from "./blocked/elementwise.js";
import { Layout } from "./blocked/layout.js";
import { gather, pad, slice } from "./blocked/move.js";
import { expand, globalAveragePool, maxPoolGrad, pool } from "./blocked/pool.js";
import { reduceSum } from "./blocked/reduce.js";

/** Rewrites one node; false where it stays as it is, in plain layout. */
type Rule = (l: Layout, node: Node) => boolean;

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...elementwiseOps.map((op): [string, Rule] => [op, elementwise]),
  ["Relu", relu],
  ["Conv", conv],
  ["MaxPool", pool],
  ["AveragePool", pool],
  ["GlobalAveragePool", globalAveragePool],
  ["ReduceSum", reduceSum],
  ["Expand", expand],
  ["Slice", slice],
  ["Pad", pad],
  ["Gather", gather],
  ["pare.ConvInputGrad", convInputGrad],
  ["pare.ConvWeightGrad", convWeightGrad],
  ["pare.BatchNormTraining", batchNormTraining],
  ["pare.BatchNormTrainingGrad", batchNormTrainingGrad],
  ["pare.ReluGrad", reluGrad],
  ["pare.MaxPoolGrad", maxPoolGrad],
]);

/**
 * Lowers convolutions and what lies between them to the blocked layout; inputs and outputs keep names, shapes and plain layout.
 * `block` is onnxruntime's block size on this machine (8 or 16), see probe.ts. A node whose shapes are not all known stays as it is.
 */
export function lowerBlocked(graph: Graph, block: number): Graph {
  const layout = new Layout(graph, block);
  for (const node of graph.nodes) {
    const rule = rules.get(node.domain ? `${node.domain}.${node.op}` : node.op);
    if (!rule?.(layout, node)) layout.keep(node);
  }
  for (const v of graph.outputs) if (layout.image(v.name)) layout.plain(v.name);
  return layout.graph;
}
