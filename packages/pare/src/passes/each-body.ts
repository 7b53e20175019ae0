/** A change of one body applied to every body of a model, the inner ones first, with what is known of the names around each. */
import type { Inferred } from "../analyze/infer.js";
import type { Graph, Node, Subgraph, Tensor, ValueType } from "../graph/graph.js";
import { readNames, withBodies } from "../graph/scope.js";

/** What is known of the names that a body may read. */
export interface Known {
  typeOf(name: string): ValueType | null;
  /** Constants and small values that follow from them. */
  valueOf(name: string): Tensor | null;
  /** Opset of the standard domain. */
  readonly opset: number;
}
/** Gets a body whose inner bodies are changed already; returns the same object where nothing changes. */
export type Change = (body: Subgraph, known: Known) => Subgraph;

/** The graph with every body changed; the graph itself where none is. */
export function eachBody(graph: Graph, inferred: Inferred, change: Change): Graph {
  const opset = graph.opsets.get("") ?? 1;
  const within = (body: Subgraph): Subgraph => {
    const nodes = body.nodes.map((n) => withBodies(n, within));
    const inner = nodes.some((n, i) => n !== body.nodes[i]) ? { ...body, nodes } : body;
    return change(inner, knownIn(body));
  };
  const knownIn = (body: Subgraph): Known => {
    const scope = inferred.bodies.get(body);
    if (scope) return { typeOf: (name) => scope.typeOf(name), valueOf: (name) => scope.valueOf(name), opset };
    return {
      typeOf: (name) => inferred.types.get(name) ?? null,
      valueOf: (name) => inferred.values.get(name) ?? null,
      opset,
    };
  };
  const main = within(graph);
  return main === graph ? graph : { ...graph, ...main };
}

/** How often each name is read in a body: by nodes, by the bodies inside them, and as an output. */
export function readers(body: Subgraph): ReadonlyMap<string, number> {
  const count = new Map<string, number>();
  const add = (name: string) => count.set(name, (count.get(name) ?? 0) + 1);
  for (const n of body.nodes) {
    const direct = n.inputs.filter(Boolean);
    direct.forEach(add);
    for (const name of readNames(n)) if (!direct.includes(name)) add(name);
  }
  for (const v of body.outputs) add(v.name);
  return count;
}

/** The node that computes each name. */
export const producers = (nodes: readonly Node[]): ReadonlyMap<string, Node> =>
  new Map(nodes.flatMap((n) => n.outputs.filter(Boolean).map((o) => [o, n] as const)));

/** A node that reads other names, in its bodies too. */
export function rereading(node: Node, to: (name: string) => string): Node {
  const inputs = node.inputs.map((name) => (name ? to(name) : name));
  const renamed = inputs.some((name, i) => name !== node.inputs[i]) ? { ...node, inputs } : node;
  return withBodies(renamed, (body) => rereadingIn(body, to));
}
/** A body that reads other names of the graphs around it. */
function rereadingIn(body: Subgraph, to: (name: string) => string): Subgraph {
  const own = new Set([
    ...body.inputs.map((v) => v.name),
    ...body.initializers.keys(),
    ...body.nodes.flatMap((n) => n.outputs),
  ]);
  const outside = (name: string) => (own.has(name) ? name : to(name));
  const nodes = body.nodes.map((n) => rereading(n, outside));
  const outputs = body.outputs.map((v) => (outside(v.name) === v.name ? v : { ...v, name: outside(v.name) }));
  const same = nodes.every((n, i) => n === body.nodes[i]) && outputs.every((v, i) => v === body.outputs[i]);
  return same ? body : { ...body, nodes, outputs };
}
