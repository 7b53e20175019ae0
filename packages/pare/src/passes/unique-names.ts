/** Graph -> the same graph in which no two bodies define the same name, so that a name says which value is meant all over the model. */
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";

/** The names of the main graph stay, and those of bodies where nothing else has them. Node names of bodies are left alone. */
export function uniqueNames(graph: Graph): Graph {
  const taken = new Set(definedIn(graph));
  const nodes = graph.nodes.map((n) => withBodies(n, (body) => renamed(body, new Map(), taken)));
  return nodes.every((n, i) => n === graph.nodes[i]) ? graph : { ...graph, nodes };
}

const definedIn = (body: Subgraph): string[] => [
  ...body.inputs.map((v) => v.name),
  ...body.initializers.keys(),
  ...body.nodes.flatMap((n) => n.outputs.filter(Boolean)),
];

/** `outer`: new names of what the bodies around this one define. */
function renamed(body: Subgraph, outer: ReadonlyMap<string, string>, taken: Set<string>): Subgraph {
  const names = new Map(outer);
  for (const name of new Set(definedIn(body))) {
    let own = name;
    for (let k = 1; taken.has(own); k++) own = `${name}_${k}`;
    taken.add(own);
    if (own === name) names.delete(name);
    else names.set(name, own);
  }
  if (names.size === 0 && !body.nodes.some((n) => withBodies(n, (b) => renamed(b, names, taken)) !== n)) return body;
  const to = (name: string) => names.get(name) ?? name;
  const rename = (n: Node): Node => ({
    ...withBodies(n, (b) => renamed(b, names, taken)),
    inputs: n.inputs.map(to),
    outputs: n.outputs.map(to),
  });
  return {
    ...body,
    nodes: body.nodes.map(rename),
    initializers: new Map([...body.initializers].map(([name, t]) => [to(name), t])),
    inputs: body.inputs.map((v) => ({ ...v, name: to(v.name) })),
    outputs: body.outputs.map((v) => ({ ...v, name: to(v.name) })),
    values: new Map([...body.values].map(([name, v]) => [to(name), { ...v, name: to(name) }])),
  };
}
