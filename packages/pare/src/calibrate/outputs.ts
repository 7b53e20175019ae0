/** A graph and names enter; the graph that computes just these leaves. */
import { PareError } from "../graph/error.js";
import { type Draft, draft, type Graph } from "../graph/graph.js";
import { quote } from "../graph/quote.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";

/** The graph with these values of its main body as its only outputs. Throws where it has no such value. */
export function withOutputs(graph: Graph, names: readonly string[]): Draft {
  const there = new Set([...graph.inputs.map((v) => v.name), ...graph.nodes.flatMap((n) => n.outputs)]);
  const missing = names.find((name) => !there.has(name));
  if (missing !== undefined)
    throw new PareError(`the main graph computes no value ${quote(missing)}: its elements cannot be had`, "usage");
  const outputs = [...new Set(names)].map((name) => ({ name, type: "undefined" as const, shape: null }));
  return draft(dropDeadNodes({ ...graph, outputs }));
}
