/** Constants of bodies -> constants of the main graph, which the bodies read from there: equal ones of several branches can then be one. */
import type { Graph, Subgraph, Tensor } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";

/** The graph's names must be unique (`uniqueNames`). A body's constant that is its own output stays. */
export function hoistConstants(graph: Graph): Graph {
  const hoisted = new Map<string, Tensor>();
  const nodes = graph.nodes.map((n) => withBodies(n, (body) => emptied(body, hoisted)));
  return hoisted.size === 0 ? graph : { ...graph, nodes, initializers: new Map([...graph.initializers, ...hoisted]) };
}

function emptied(body: Subgraph, hoisted: Map<string, Tensor>): Subgraph {
  const kept = new Map<string, Tensor>();
  const own = new Set([...body.inputs, ...body.outputs].map((v) => v.name));
  for (const [name, t] of body.initializers) (own.has(name) ? kept : hoisted).set(name, t);
  const nodes = body.nodes.map((n) => withBodies(n, (b) => emptied(b, hoisted)));
  const same = kept.size === body.initializers.size && nodes.every((n, i) => n === body.nodes[i]);
  return same ? body : { ...body, nodes, initializers: kept };
}
