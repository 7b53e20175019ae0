/** Nodes under other names: a node and a map of names enter; the same node, its bodies too, under the new names leaves. */
import type { Node, Subgraph } from "./graph.js";
import { withBodies } from "./scope.js";

/** Names of the outer graph change inside bodies too, unless a body has its own of that name. */
export function renamed(node: Node, names: ReadonlyMap<string, string>): Node {
  const to = (name: string): string => names.get(name) ?? name;
  const inside = withBodies(node, (body: Subgraph) => {
    const own = new Set([
      ...body.inputs.map((v) => v.name),
      ...body.initializers.keys(),
      ...body.nodes.flatMap((n) => n.outputs),
    ]);
    const outer = new Map([...names].filter(([name]) => !own.has(name)));
    return {
      ...body,
      nodes: body.nodes.map((n) => renamed(n, outer)),
      outputs: body.outputs.map((v) => ({ ...v, name: outer.get(v.name) ?? v.name })),
    };
  });
  return { ...inside, inputs: node.inputs.map(to), outputs: node.outputs.map(to) };
}
