/** Graph -> the same graph without the nodes, initialisers and notes on names that no output depends on, in the main graph and in bodies. */
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { readNames, withBodies } from "../graph/scope.js";

/** Inputs and outputs stay as they are, used or not. */
export function dropDeadNodes(graph: Graph): Graph {
  return dropIn(graph);
}

function dropIn<G extends Subgraph>(graph: G): G {
  const live = new Set(graph.outputs.map((v) => v.name));
  const nodes: Node[] = [];
  let changed = false;
  for (const n of graph.nodes.toReversed()) {
    if (!n.outputs.some((o) => o !== "" && live.has(o))) {
      changed = true;
      continue;
    }
    const kept = withBodies(n, dropIn);
    changed ||= kept !== n;
    nodes.push(kept);
    for (const name of readNames(kept)) live.add(name);
  }
  const inputs = new Set(graph.inputs.map((v) => v.name));
  const initializers = new Map([...graph.initializers].filter(([name]) => live.has(name) || inputs.has(name)));
  if (!changed && initializers.size === graph.initializers.size) return graph;
  const there = new Set([...inputs, ...initializers.keys(), ...nodes.flatMap((n) => n.outputs)]);
  const values = new Map([...graph.values].filter(([name]) => there.has(name)));
  return { ...graph, nodes: nodes.reverse(), initializers, values };
}
