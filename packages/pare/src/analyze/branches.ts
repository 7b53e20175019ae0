/** Residual branches: a coupled graph and groups of channels enter; what may be left out of a sum, and the channels that go with it, leave. */
import type { Node } from "../graph/graph.js";
import { type Channel, resolve } from "./axes.js";
import type { Coupling } from "./couple.js";
import type { Group } from "./groups.js";
import { residualBlocks } from "./residual-blocks.js";

/** One term of a sum: without it the sum is its other term. */
export interface Branch {
  /** Name of the sum. */
  readonly sum: string;
  /** Name of the other term, of the same shape. */
  readonly rest: string;
  /** All that live in the branch alone; at least one. */
  readonly groups: readonly Group[];
}

/** Branches in the order of the graph that hold some of `groups` whole, and none of the nodes or constants that `exclude` names. Of two that lie in one another the inner one is given. */
export function branchesOf(coupling: Coupling, groups: readonly Group[], exclude: readonly string[] = []): Branch[] {
  const { graph } = coupling;
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const found: (Branch & { readonly nodes: readonly Node[] })[] = [];
  const blocks = residualBlocks(graph).blocks.filter((b) => !outputs.has(b.sum.outputs[0]!));
  for (const { sum, shortcut, nodes } of blocks.toSorted((a, b) => a.nodes.length - b.nodes.length)) {
    const named = new Set(nodes.flatMap((n) => [n.name, ...n.outputs, ...n.inputs]));
    if (exclude.some((name) => named.has(name))) continue;
    const within = groupsWithin(coupling, new Set(nodes), groups);
    const inner = found.some((b) => b.nodes.some((n) => nodes.includes(n)));
    if (within.length > 0 && !inner) found.push({ sum: sum.outputs[0]!, rest: shortcut, groups: within, nodes });
  }
  const place = new Map(graph.nodes.map((n, i) => [n.outputs[0]!, i]));
  return found
    .sort((a, b) => place.get(a.sum)! - place.get(b.sum)!)
    .map(({ sum, rest, groups: within }) => ({ sum, rest, groups: within }));
}

/** Those of `groups` whose channels no other node's constants have. */
function groupsWithin(coupling: Coupling, nodes: ReadonlySet<Node>, groups: readonly Group[]): Group[] {
  const [inside, outside] = [new Set<Channel>(), new Set<Channel>()];
  for (const use of coupling.uses) {
    const side = nodes.has(use.node) ? inside : outside;
    for (const axis of use.axes) for (const list of axis) for (const c of resolve(list)) side.add(c);
  }
  return groups.filter((g) => g.channels.every((c) => inside.has(c) && !outside.has(c)));
}
