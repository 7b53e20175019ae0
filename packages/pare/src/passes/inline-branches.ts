/** If with a condition that is known beforehand -> the nodes of the branch that runs, in its place. */
import { infer } from "../analyze/infer.js";
import { node as makeNode } from "../graph/emit.js";
import type { Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { eachBody, type Known } from "./each-body.js";

/** The graph's names must be unique (`uniqueNames`). */
export function inlineBranches(graph: Graph): Graph {
  return eachBody(graph, infer(graph), inlineIn);
}

function inlineIn(body: Subgraph, known: Known): Subgraph {
  const initializers = new Map<string, Tensor>(body.initializers);
  let changed = false;
  const nodes = body.nodes.flatMap((n): Node[] => {
    const branch = branchOf(n, known);
    if (!branch) return [n];
    changed = true;
    for (const [name, t] of branch.initializers) initializers.set(name, t);
    const results = n.outputs.flatMap((o, k) => (o ? [makeNode("Identity", [branch.outputs[k]!.name], [o])] : []));
    return [...branch.nodes, ...results];
  });
  return changed ? { ...body, nodes, initializers } : body;
}

function branchOf(n: Node, known: Known): Subgraph | null {
  const condition = n.op === "If" && n.domain === "" ? known.valueOf(n.inputs[0]!) : null;
  if (condition?.bytes.length !== 1) return null;
  const branch = n.attributes[condition.bytes[0] ? "then_branch" : "else_branch"];
  return branch?.kind === "graph" ? branch.value : null;
}
