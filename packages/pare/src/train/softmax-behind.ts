/** An output comes in; the logits behind it go out, where a Softmax makes it. */
import type { Graph } from "../graph/graph.js";

/** The input of the Softmax that makes an output; null where no Softmax does. */
export function softmaxBehind(graph: Pick<Graph, "nodes">, output: string): string | null {
  const producer = graph.nodes.find((n) => n.domain === "" && n.outputs.includes(output));
  if (producer?.op === "Softmax") return producer.inputs[0]!;
  return producer?.op === "Identity" ? softmaxBehind(graph, producer.inputs[0]!) : null;
}
