/** Channels taken out of a graph for good, whole residual branches too: a coupled graph, its branches and the channels to go enter, a new Graph leaves. */
import type { Channel } from "../analyze/axes.js";
import type { Branch } from "../analyze/branches.js";
import type { Coupling } from "../analyze/couple.js";
import { cut } from "../analyze/cut.js";
import type { Graph } from "../graph/graph.js";
import { dropDeadNodes } from "./drop-dead-nodes.js";
import { dropNoOps } from "./drop-no-ops.js";
import { rereading } from "./each-body.js";

/** As `cut`, but a branch all of whose channels go is left out of its sum, and what it adds besides (a bias) with it. Throws PareError as `cut` does. */
export function removeChannels(coupling: Coupling, branches: readonly Branch[], removed: ReadonlySet<Channel>): Graph {
  const out = branches.filter((b) => b.groups.every((g) => g.channels.every((c) => removed.has(c))));
  const narrowed = new Set(removed);
  for (const b of out) for (const g of b.groups) for (const c of g.channels) narrowed.delete(c);
  const graph = narrowed.size > 0 ? cut(coupling, narrowed) : coupling.graph;
  return out.length > 0 ? without(graph, out) : graph;
}

function without(graph: Graph, branches: readonly Branch[]): Graph {
  const instead = new Map(branches.map((b) => [b.sum, b.rest]));
  const to = (name: string): string => {
    const other = instead.get(name);
    return other === undefined ? name : to(other);
  };
  return dropNoOps(dropDeadNodes({ ...graph, nodes: graph.nodes.map((n) => rereading(n, to)) }));
}
