/** A pruned graph -> the same with the channels of each free group in an order that puts like beside like, so that a coder learns one from the next. */
import { type Axis, type Channel, resolve } from "../analyze/axes.js";
import { type Coupling, constantsOf, couple, type Use } from "../analyze/couple.js";
import { type Group, groupsOf } from "../analyze/groups.js";
import { PareError } from "../graph/error.js";
import { draft, type Graph, type Tensor } from "../graph/graph.js";
import { bitsOf, sizeOf } from "../graph/tensor.js";

/** Groups with more survivors than this share of their weights have nothing to gain. */
const sparse = 0.5;
const mostChannels = 4096;

/** Where the elements of one axis of a constant come from: new index -> old index. */
interface Move {
  readonly use: Use;
  readonly axis: number;
  readonly from: readonly number[];
}

/**
 * Computes the same as `graph`, up to the rounding of sums in another order. Groups whose channels do not each have a place of their own stay as they
 * are, and so does a graph whose shapes cannot be followed.
 */
export function orderChannels(graph: Graph): Graph {
  const coupling = coupled(graph);
  if (!coupling) return graph;
  const constants = constantsOf(graph);
  const d = draft(graph);
  for (const group of groupsOf(coupling)) {
    if (group.blocked || group.size < 3 || group.size > mostChannels) continue;
    const order = orderOf(group, coupling, constants);
    const moves = order && movesOf(group, order, coupling);
    if (!moves?.every((m) => d.initializers.has(m.use.tensor))) continue;
    for (const { use, axis, from } of moves) {
      const t = d.initializers.get(use.tensor)!;
      d.initializers.set(use.tensor, gather(t, axis, from));
    }
  }
  return d;
}

function coupled(graph: Graph): Coupling | null {
  try {
    return couple(graph);
  } catch (error) {
    if (error instanceof PareError) return null;
    throw error;
  }
}

/** The uses' axes that the group's channels lie along. */
const along = (group: Group, coupling: Coupling): { use: Use; axis: number; lists: Axis }[] => {
  const mine = new Set(group.channels);
  return coupling.uses.flatMap((use) =>
    use.axes.flatMap((lists, axis) =>
      lists.some((list) => resolve(list).some((c) => mine.has(c))) ? [{ use, axis, lists }] : [],
    ),
  );
};

/** Channel k's new content is that of channel order[k]: a chain from the densest channel to the most similar that is left. Null where weights are dense. */
function orderOf(group: Group, coupling: Coupling, constants: ReadonlyMap<string, Tensor>): readonly number[] | null {
  const place = new Map(group.channels.map((c, k) => [c, k]));
  const features: number[][] = group.channels.map(() => []);
  let base = 0;
  let size = 0;
  for (const { use, axis, lists } of along(group, coupling)) {
    const t = constants.get(use.tensor)!;
    if (t.dims.length < 2 || t.type !== "float32") continue;
    const bits = new Uint32Array(t.bytes.slice().buffer);
    const inner = sizeOf(t.dims.slice(axis + 1));
    const length = t.dims[axis]!;
    const channels = lists.map((list) => resolve(list).flatMap((c) => place.get(c) ?? []));
    for (let i = 0; i < bits.length; i++) {
      // Minus zero is pruned too.
      if ((bits[i]! & 0x7fffffff) === 0) continue;
      const index = Math.floor(i / inner) % length;
      const elsewhere = Math.floor(i / (inner * length)) * inner + (i % inner);
      for (const k of channels[index]!) features[k]!.push(base + elsewhere);
    }
    base += bits.length / length;
    size += bits.length;
  }
  const survivors = features.reduce((sum, f) => sum + f.length, 0);
  return size === 0 || survivors === 0 || survivors > sparse * size ? null : chain(features);
}

function chain(features: readonly (readonly number[])[]): number[] {
  const having = new Map<number, number[]>();
  for (const [k, f] of features.entries())
    for (const x of f) {
      const list = having.get(x);
      if (list) list.push(k);
      else having.set(x, [k]);
    }
  const left = new Set(features.keys());
  let at = features.reduce((best, f, k) => (f.length > features[best]!.length ? k : best), 0);
  const order = [at];
  left.delete(at);
  const shared = new Float64Array(features.length);
  while (left.size > 0) {
    shared.fill(0);
    for (const x of features[at]!) for (const k of having.get(x)!) shared[k]!++;
    let next = -1;
    let most = -1;
    for (const k of left) {
      const similar = shared[k]! ** 2 / (features[k]!.length + 1);
      if (similar > most) [next, most] = [k, similar];
    }
    order.push(next);
    left.delete(next);
    at = next;
  }
  return order;
}

/** What the new order means for every constant; null where an index cannot be told from another, or readers of one constant disagree. */
function movesOf(group: Group, order: readonly number[], coupling: Coupling): Move[] | null {
  const to = new Map(group.channels.map((c, k) => [c, group.channels[order[k]!]!]));
  const ids = new Map<Channel, number>();
  const key = (list: readonly Channel[]): string =>
    list
      .map((c) => {
        const id = ids.get(c) ?? ids.size;
        ids.set(c, id);
        return id;
      })
      .sort((a, b) => a - b)
      .join();
  const moves = new Map<string, Move>();
  for (const { use, axis, lists } of along(group, coupling)) {
    const resolved = lists.map(resolve);
    const index = new Map(resolved.map((list, i) => [key(list), i]));
    const from = resolved.map((list) => index.get(key(list.map((c) => to.get(c) ?? c))) ?? -1);
    // Indices whose channels are others' too keep their place only if they are alone with them.
    if (index.size < resolved.length || from.includes(-1)) return null;
    const name = `${use.tensor} ${axis}`;
    const known = moves.get(name);
    if (known?.from.some((f, i) => f !== from[i])) return null;
    moves.set(name, { use, axis, from });
  }
  for (const { use, axis } of moves.values())
    if (coupling.uses.some((u) => u.tensor === use.tensor && !moves.has(`${u.tensor} ${axis}`))) return null;
  return [...moves.values()];
}

function gather(t: Tensor, axis: number, from: readonly number[]): Tensor {
  const inner = (sizeOf(t.dims.slice(axis + 1)) * bitsOf[t.type]) / 8;
  const outer = sizeOf(t.dims.slice(0, axis));
  const bytes = new Uint8Array(t.bytes.length);
  for (let o = 0; o < outer; o++)
    for (const [i, f] of from.entries()) {
      const start = (o * from.length + f) * inner;
      bytes.set(t.bytes.subarray(start, start + inner), (o * from.length + i) * inner);
    }
  return { ...t, bytes };
}
