/** Initialisers that stand among the graph inputs too (as they had to before IR 4) -> initialisers alone, which no caller can replace any more. */
import type { Graph } from "../graph/graph.js";
import { feeds } from "../graph/graph.js";

/** The same graph with only those inputs that must be fed. */
export function dropInitializerInputs(graph: Graph): Graph {
  const inputs = feeds(graph);
  if (inputs.length === graph.inputs.length) return graph;
  return { ...graph, inputs, irVersion: Math.max(graph.irVersion, 4) };
}
