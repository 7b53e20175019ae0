/** A graph enters; nothing leaves, unless its weights are integers already: then an error that says what to do first. */
import { PareError } from "../graph/error.js";
import type { Graph, Node } from "../graph/graph.js";
import { quote } from "../graph/quote.js";
import { quantized } from "../ops/quantized.js";
import { recordOf } from "../ops/registry.js";
import { constantsOf } from "./couple.js";

const codes: readonly string[] = ["int8", "uint8", "int4", "uint4", "int2", "uint2"];

/** Throws PareError that names the node; `work` is what was to be done: "prune". Tables of integers that become no weight (ids, masks, lengths) are none of that. */
export function refuseQuantized(graph: Graph, work: string): void {
  const integer =
    graph.nodes.find((n) => quantized.some((r) => r.type === n.op && r.domain === n.domain)) ?? decoder(graph);
  if (integer)
    throw new PareError(
      `the model is quantized already (${integer.op} ${quote(integer.name || integer.outputs[0] || "")}): ${work} the float model, then quantize`,
    );
}

/** The node that first reads integers of which, by constants alone, a layer's weight is made; or that is unknown and reads some. */
function decoder(graph: Graph): Node | null {
  const constants = constantsOf(graph);
  // Weights have two dims or more, zero points one.
  const stored = (name: string): boolean => {
    const t = constants.get(name);
    return t !== undefined && codes.includes(t.type) && t.dims.length > 1;
  };
  const constant = new Set(constants.keys());
  const readBy = new Map<string, Node>();
  for (const node of graph.nodes) {
    const record = recordOf(node);
    const own = node.inputs.some(stored) ? node : null;
    const first = own ?? node.inputs.map((x) => readBy.get(x)).find((n) => n !== undefined);
    if (first && (!record || record.quant === "weights")) return first;
    if (!node.inputs.every((x) => x === "" || constant.has(x))) continue;
    for (const o of node.outputs) {
      constant.add(o);
      if (first) readBy.set(o, first);
    }
  }
  return null;
}
