/** A graph enters; nothing leaves, unless its weights are integers already: then an error that says what to do first. */
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { quote } from "../graph/quote.js";
import { quantized } from "../ops/quantized.js";

const codes: readonly string[] = ["int8", "uint8", "int4", "uint4"];

/** Throws PareError that names the node; `work` is what was to be done: "prune". */
export function refuseQuantized(graph: Graph, work: string): void {
  // Weights of eight bits may be turned into numbers by any operators; they have two dims or more, zero points one.
  const stored = (name: string): boolean => {
    const t = graph.initializers.get(name);
    return t !== undefined && codes.includes(t.type) && t.dims.length > 1;
  };
  const integer = graph.nodes.find(
    (n) => quantized.some((r) => r.type === n.op && r.domain === n.domain) || n.inputs.some(stored),
  );
  if (integer)
    throw new PareError(
      `the model is quantized already (${integer.op} ${quote(integer.name || integer.outputs[0] || "")}): ${work} the float model, then quantize`,
    );
}
