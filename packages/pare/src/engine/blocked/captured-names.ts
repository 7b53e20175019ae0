/** A node comes in; the outer names that the bodies of its control flow read go out. */
import type { Node, Subgraph } from "../../graph/graph.js";

/** Names of the surrounding graph that the node's bodies (If, Loop, Scan) read. */
export function capturedNames(node: Node): Set<string> {
  const captured = new Set<string>();
  for (const a of Object.values(node.attributes)) {
    const bodies = a.kind === "graph" ? [a.value] : a.kind === "graphs" ? a.value : [];
    for (const body of bodies) for (const name of freeNames(body)) captured.add(name);
  }
  return captured;
}

function freeNames(body: Subgraph): Set<string> {
  const own = new Set<string>([...body.initializers.keys(), ...body.inputs.map((v) => v.name)]);
  const free = new Set<string>();
  const read = (name: string) => name && !own.has(name) && free.add(name);
  for (const node of body.nodes) {
    for (const name of [...node.inputs, ...capturedNames(node)]) read(name);
    for (const name of node.outputs) own.add(name);
  }
  for (const v of body.outputs) read(v.name);
  return free;
}
