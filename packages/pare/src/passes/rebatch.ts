/** A graph whose batch is written into it comes in; the same graph for another batch goes out. */
import { infer } from "../analyze/infer.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { type Dim, draft, feeds, type Graph, type Node } from "../graph/graph.js";
import { int64s } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { intsOf } from "../ops/values.js";

/** Length of the feeds' first axis where it is a number and the same for all; else null. */
export function fixedBatch(graph: Graph): number | null {
  const lengths = new Set(feeds(graph).map((v) => v.shape?.[0]));
  const [only] = lengths;
  return lengths.size === 1 && typeof only === "number" ? only : null;
}

/**
 * First axes of inputs and outputs become `batch`; where a target (Reshape, Expand) repeats the old length for an array whose first axis is the batch,
 * the target follows. Other places that repeat it are left: shape inference then shows that the graph does not fit.
 */
export function rebatch(graph: Graph, batch: Dim): Graph {
  const old = fixedBatch(graph);
  const fed = new Set(feeds(graph).map((v) => v.name));
  const out = draft(graph);
  out.values = new Map();
  const first = (shape: readonly Dim[] | null): readonly Dim[] | null =>
    shape && shape[0] === old ? [batch, ...shape.slice(1)] : shape;
  out.inputs = graph.inputs.map((v) => (fed.has(v.name) ? { ...v, shape: first(v.shape) } : v));
  out.outputs = graph.outputs.map((v) => ({ ...v, shape: first(v.shape) }));
  if (old === null || old === batch) return out;

  const { types, values } = infer(graph);
  const g = new Emitter(out, "float32", "rebatched_");
  const fromData = new Set(fed);
  out.nodes = graph.nodes.map((node): Node => {
    if (!node.inputs.some((x) => fromData.has(x))) return node;
    for (const o of node.outputs) fromData.add(o);
    const target = node.inputs[1] ?? "";
    const keeps = recordOf(node)?.keeps;
    if (keeps === undefined || fromData.has(target) || types.get(node.inputs[0]!)?.shape?.[0] !== old) return node;
    const dims = intsOf(values.get(target) ?? null);
    if (dims?.[0] !== old) return node;
    const shape = g.constant(int64s([keeps, ...dims.slice(1)]));
    return { ...node, inputs: [node.inputs[0]!, shape] };
  });
  return out;
}

/** A batch length that no graph has by chance: a constant that repeats the old length does not fit it, as it seems to fit a symbol. */
const strange = 10_007;

/** The graph with an open batch, where shape inference says that all its outputs then have it; else the graph itself. */
export function openBatch(graph: Graph): Graph {
  if (fixedBatch(graph) === null) return graph;
  try {
    const follows = (batch: Dim): Graph | null => {
      const free = rebatch(graph, batch);
      const { types } = infer(free);
      return free.outputs.every((v) => types.get(v.name)?.shape?.[0] === batch) ? free : null;
    };
    return (follows(strange) && follows("batch")) ?? graph;
  } catch (error) {
    if (error instanceof PareError) return graph;
    throw error;
  }
}
