/** Residual branches: a coupled graph and groups of channels enter; what may be left out of a sum, and the channels that go with it, leave. */
import type { Node } from "../graph/graph.js";
import { readNames } from "../graph/scope.js";
import { type Channel, resolve } from "./axes.js";
import type { Coupling } from "./couple.js";
import type { Group } from "./groups.js";

/** One term of a sum, which nothing else reads: without it the sum is its other term. */
export interface Branch {
  /** Name of the sum. */
  readonly sum: string;
  /** Name of the other term, of the same shape. */
  readonly rest: string;
  /** All that live in the branch alone. */
  readonly groups: readonly Group[];
}

/** Branches in the order of the graph that hold at least one of `groups`, whole, and none of the nodes or constants that `exclude` names. A branch around another one is left out. */
export function branchesOf(coupling: Coupling, groups: readonly Group[], exclude: readonly string[] = []): Branch[] {
  const { graph } = coupling;
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const found = graph.nodes.flatMap((node, i): (Branch & { readonly nodes: number })[] => {
    const sum = node.outputs[0]!;
    if (node.op !== "Add" || node.domain !== "" || outputs.has(sum) || node.inputs[0] === node.inputs[1]) return [];
    return node.inputs.flatMap((term, side) => {
      const rest = node.inputs[1 - side]!;
      if (!sameShape(coupling, rest, sum)) return [];
      const only = onlyFor(graph.nodes.slice(0, i), term, readersOf(coupling), outputs);
      const named = [...only].flatMap((n) => [n.name, ...n.outputs, ...n.inputs]);
      if (exclude.some((name) => named.includes(name))) return [];
      const within = groupsWithin(coupling, only, groups);
      return within.length > 0 ? [{ sum, rest, groups: within, nodes: only.size }] : [];
    });
  });
  const taken = new Set<Group>();
  const smallest = found
    .toSorted((a, b) => a.nodes - b.nodes)
    .filter((b) => {
      const free = !b.groups.some((g) => taken.has(g));
      if (free) for (const g of b.groups) taken.add(g);
      return free;
    });
  return found
    .filter((b) => smallest.includes(b))
    .map(({ sum, rest, groups: within }) => ({ sum, rest, groups: within }));
}

function sameShape({ inferred }: Coupling, a: string, b: string): boolean {
  const [x, y] = [a, b].map((name) => inferred.types.get(name)?.shape);
  return Boolean(x && y && x.length === y.length && x.every((d, k) => d !== "" && d === y[k]));
}

const known = new WeakMap<Coupling, ReadonlyMap<string, readonly Node[]>>();
function readersOf(coupling: Coupling): ReadonlyMap<string, readonly Node[]> {
  let readers = known.get(coupling);
  if (!readers) {
    const map = new Map<string, Node[]>();
    for (const n of coupling.graph.nodes) for (const name of readNames(n)) map.set(name, [...(map.get(name) ?? []), n]);
    known.set(coupling, (readers = map));
  }
  return readers;
}

/** The nodes before a sum that nothing but its term needs. */
function onlyFor(
  before: readonly Node[],
  term: string,
  readers: ReadonlyMap<string, readonly Node[]>,
  outputs: ReadonlySet<string>,
): Set<Node> {
  const only = new Set<Node>();
  const spare = (name: string): boolean => {
    const all = readers.get(name) ?? [];
    if (outputs.has(name)) return false;
    return name === term ? all.length === 1 : all.length > 0 && all.every((n) => only.has(n));
  };
  for (const n of before.toReversed()) {
    const made = n.outputs.filter(Boolean);
    const read = made.filter((o) => outputs.has(o) || readers.has(o));
    if (read.length > 0 && read.every(spare)) only.add(n);
  }
  return only;
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
