/** Nodes that hand their input on unchanged in inference (Identity, Dropout) -> gone, their readers read what they read. */
import type { Graph, Node } from "../graph/graph.js";

/** Same results, same input and output names. A node stays that names a graph output, whose mask is read, or that drops in inference too. */
export function dropIdentities(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map((v) => v.name));
  // What a body captures is not followed: a node whose output one reads stays.
  const captured = new Set(
    graph.nodes.flatMap((n) =>
      Object.values(n.attributes).some((a) => a.kind === "graph" || a.kind === "graphs") ? ["*"] : [],
    ),
  );
  const read = new Set(graph.nodes.flatMap((n) => n.inputs));
  const source = new Map<string, string>();
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => source.get(name) ?? name);
    const kept = inputs.some((name, i) => name !== node.inputs[i]) ? { ...node, inputs } : node;
    const [x, y] = [inputs[0], node.outputs[0]];
    const droppable =
      captured.size === 0 &&
      passesOn(node, graph) &&
      x &&
      y &&
      !outputs.has(y) &&
      !node.outputs.slice(1).some((o) => read.has(o));
    if (droppable) source.set(y, x);
    else nodes.push(kept);
  }
  return source.size === 0 ? graph : withoutUnread({ ...graph, nodes }, graph);
}

function passesOn(node: Node, graph: Graph): boolean {
  if (node.domain !== "") return false;
  if (node.op === "Identity") return true;
  if (node.op !== "Dropout") return false;
  const training = node.inputs[2] ? graph.initializers.get(node.inputs[2]) : undefined;
  return !node.inputs[2] || (training?.bytes.length === 1 && training.bytes[0] === 0);
}

/** Initialisers that only dropped nodes read go with them (those that are graph inputs too stay). */
function withoutUnread(graph: Graph, before: Graph): Graph {
  const reads = (g: Graph) =>
    new Set([...g.nodes.flatMap((n) => n.inputs), ...g.outputs.map((v) => v.name), ...g.inputs.map((v) => v.name)]);
  const [now, then] = [reads(graph), reads(before)];
  return {
    ...graph,
    initializers: new Map([...graph.initializers].filter(([name]) => now.has(name) || !then.has(name))),
  };
}
