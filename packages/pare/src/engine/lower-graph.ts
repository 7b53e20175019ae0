/** Everything between a training graph and what onnxruntime reads: composite nodes go, in the graph itself and in the bodies of its control flow. */
import type { Attribute, Graph, Node, Subgraph } from "../graph/graph.js";
import { lowerBlocked } from "./lower-blocked.js";
import { lowerPlain } from "./lower-plain.js";
import { simplifyGradients } from "./simplify-gradients.js";

const bodiesOf = (n: Node): readonly Subgraph[] =>
  Object.values(n.attributes).flatMap((a) => (a.kind === "graph" ? [a.value] : a.kind === "graphs" ? a.value : []));

/** Whether the graph, or a body in it, has composite nodes of domain "pare". */
export const hasComposites = (graph: Pick<Subgraph, "nodes">): boolean =>
  graph.nodes.some((n) => n.domain === "pare" || bodiesOf(n).some(hasComposites));

/** The graph without composite nodes; itself where it has none. `block`: onnxruntime's block size, or null for plain ONNX. */
export function lowerGraph(graph: Graph, block: number | null): Graph {
  if (!hasComposites(graph)) return graph;
  const opsets = new Map(graph.opsets);
  const lower = (g: Graph): Graph => {
    const withBodies = { ...g, nodes: g.nodes.map((n) => (bodiesOf(n).some(hasComposites) ? inBodies(n) : n)) };
    const simple = simplifyGradients(withBodies);
    const out = lowerPlain(block === null ? simple : lowerBlocked(simple, block));
    for (const [domain, version] of out.opsets) opsets.set(domain, version);
    return out;
  };
  const body = (b: Subgraph): Subgraph => {
    const { nodes, initializers, values } = lower({ ...graph, ...b });
    return { ...b, nodes, initializers, values };
  };
  const inBodies = (n: Node): Node => {
    const attributes = Object.entries(n.attributes).map(([name, a]): [string, Attribute] => {
      if (a.kind === "graph") return [name, { ...a, value: body(a.value) }];
      if (a.kind === "graphs") return [name, { ...a, value: a.value.map(body) }];
      return [name, a];
    });
    return { ...n, attributes: Object.fromEntries(attributes) };
  };
  const out = lower(graph);
  opsets.delete("pare");
  return { ...out, opsets };
}
