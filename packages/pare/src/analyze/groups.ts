/** Coupled channels: a graph whose axes are tied comes in; out, the groups of channels that live and die together, and what holds them. */

import type { Graph } from "../graph/graph.js";
import { type Axis, type Channel, type Reason, resolve, rootOf } from "./axes.js";
import { type Coupling, couple, type Use } from "./couple.js";

export interface Member {
  /** Name of the constant. */
  readonly tensor: string;
  readonly axis: number;
  /** The node that reads it there. */
  readonly node: string;
  /** Indices of that axis that one channel of the group takes. */
  readonly times: number;
}
export interface Group {
  readonly name: string;
  /** How many channels may be removed one by one, were the group free. */
  readonly size: number;
  /** null: free. */
  readonly blocked: Reason | null;
  readonly members: readonly Member[];
  readonly channels: readonly Channel[];
}

/** Groups of more than one channel in the order of the graph's nodes. Lengths that are no channels at all (kernel windows, gates) are left out. */
export function groups(graph: Graph, options: { inputs?: Readonly<Record<string, readonly number[]>> } = {}): Group[] {
  return groupsOf(couple(graph, options));
}
export function groupsOf(coupling: Coupling): Group[] {
  const places = new Map<Channel, Map<string, number>>();
  const members = new Map<string, Omit<Member, "times">>();
  coupling.uses.forEach((use, u) => {
    use.axes.forEach((axis, d) => {
      const key = `${u}.${d}`;
      members.set(key, { tensor: use.tensor, axis: d, node: nameOf(use) });
      for (const list of axis)
        for (const c of resolve(list)) {
          if (c.width > 1) continue;
          const mine = places.get(c) ?? new Map<string, number>();
          places.set(c, mine.set(key, (mine.get(key) ?? 0) + 1));
        }
    });
  });
  const found = new Map<string, { channels: Channel[]; at: Map<string, number> }>();
  const ids = new Map<object, number>();
  for (const [c, at] of places) {
    const root = rootOf(c);
    const id = ids.get(root) ?? ids.size;
    ids.set(root, id);
    const key = [id, c.held?.by, c.held?.at, ...[...at].map(([k, n]) => `${k}x${n}`).sort()].join("|");
    const group = found.get(key) ?? { channels: [], at };
    group.channels.push(c);
    found.set(key, group);
  }
  return [...found.values()]
    .filter(({ channels, at }) => channels.length > 1 && !(channels[0]!.held?.by === "position" && at.size === 1))
    .map(({ channels, at }) => ({
      name: rootOf(channels[0]!).name,
      size: channels.length,
      blocked: channels[0]!.held,
      members: [...at].map(([key, times]) => ({ ...members.get(key)!, times })),
      channels,
    }));
}
const nameOf = (use: Use): string => use.node.name || use.node.outputs.find(Boolean) || use.node.op;

/** Which indices of an axis survive when `removed` channels go; null where all do. */
export function survivors(axis: Axis, removed: ReadonlySet<Channel>): boolean[] | null {
  const mask = axis.map((list) => resolve(list).every((c) => !removed.has(c)));
  return mask.every(Boolean) ? null : mask;
}
