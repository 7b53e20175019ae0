/** Values that are zero whatever the input: a graph enters, and which of its constants are zero; their names and those of what is zero because of them leave. */
import type { Graph } from "../graph/graph.js";
import { recordOf } from "../ops/registry.js";
import { siteOf } from "../ops/site.js";
import { isFloat, numbersOf } from "../ops/values.js";
import { constantsOf } from "./couple.js";
import type { Inferred } from "./infer.js";

/** Floats of which every element is zero. */
export const zeroConstants = (graph: Graph): string[] =>
  [...constantsOf(graph)].flatMap(([name, t]) =>
    isFloat(t.type) && t.bytes.length > 0 && numbersOf(t)?.every((v) => v === 0) ? [name] : [],
  );

/** These constants, and first outputs of nodes that are zero because of them, as long as everything in the graph is finite. */
export function zeroValues(graph: Graph, constants: Iterable<string>, inferred: Inferred): Set<string> {
  const zero = new Set(constants);
  const typeOf = (name: string) => (name ? (inferred.types.get(name) ?? null) : null);
  for (const node of graph.nodes) {
    const record = recordOf(node);
    const [y] = node.outputs;
    if (!record?.zero || !y || !node.inputs.some((x) => zero.has(x))) continue;
    const site = siteOf(record, {
      node,
      opset: graph.opsets.get(node.domain) ?? 1,
      x: node.inputs.map(typeOf),
      y: node.outputs.map(typeOf),
      value: (i) => (node.inputs[i] ? (inferred.values.get(node.inputs[i]) ?? null) : null),
    });
    const known = node.inputs.map((x) => (x ? zero.has(x) : undefined));
    if (record.zero(known, site)) zero.add(y);
  }
  return zero;
}
