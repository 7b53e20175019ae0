/** Channels that nobody reads any more (all weights on them are zero) -> gone, with the weights that made them: a pruned graph shrinks for good. */
import { type Channel, resolve } from "../analyze/axes.js";
import { type Coupling, constantsOf, couple } from "../analyze/couple.js";
import { cut } from "../analyze/cut.js";
import { groupsOf } from "../analyze/groups.js";
import { PareError } from "../graph/error.js";
import type { Graph, Node, Tensor } from "../graph/graph.js";
import { bitsOf, sizeOf } from "../graph/tensor.js";

/** Computes the same as `graph`. A graph whose shapes cannot be followed stays as it is; one channel of every group is left. */
export function dropDeadChannels(graph: Graph): Graph {
  // A channel may die of the death of its only reader: until nothing changes.
  for (let before = graph; ; ) {
    const after = once(before);
    if (after === before) return before;
    before = after;
  }
}

function once(graph: Graph): Graph {
  try {
    const coupling = couple(graph);
    const removed = deadChannels(coupling);
    return removed.size === 0 ? graph : cut(coupling, removed);
  } catch (error) {
    if (error instanceof PareError) return graph;
    throw error;
  }
}

function deadChannels(coupling: Coupling): Set<Channel> {
  const ends = endsOf(coupling);
  const zeros = new Map<string, Uint8Array>();
  const constants = constantsOf(coupling.graph);
  const zeroAt = (tensor: string, axis: number): Uint8Array => {
    const key = `${axis} ${tensor}`;
    const known = zeros.get(key) ?? zeroSlices(constants.get(tensor)!, axis);
    zeros.set(key, known);
    return known;
  };
  // Where a channel is summed over with weights: are they zero?
  const unread = new Map<Channel, boolean>();
  for (const use of coupling.uses) {
    const outputs = channelsOf(coupling, use.node.outputs);
    use.axes.forEach((axis, d) => {
      axis.forEach((list, i) => {
        for (const c of resolve(list))
          if (!outputs.has(c)) unread.set(c, (unread.get(c) ?? true) && zeroAt(use.tensor, d)[i] === 1);
      });
    });
  }
  const removed = new Set<Channel>();
  for (const group of groupsOf(coupling)) {
    if (group.blocked) continue;
    const dead = group.channels.filter((c) => unread.get(c) === true && !ends.has(c));
    for (const c of dead.length === group.channels.length ? dead.slice(1) : dead) removed.add(c);
  }
  return removed;
}

/** Channels that end in a node without weights on them: summed, compared, gathered away. Somebody reads these. */
function endsOf(coupling: Coupling): Set<Channel> {
  const weighted = new Map<Node, Set<Channel>>();
  for (const use of coupling.uses) {
    const set = weighted.get(use.node) ?? new Set<Channel>();
    for (const axis of use.axes) for (const list of axis) for (const c of resolve(list)) set.add(c);
    weighted.set(use.node, set);
  }
  const ends = new Set<Channel>(
    channelsOf(
      coupling,
      coupling.graph.outputs.map((v) => v.name),
    ),
  );
  for (const node of coupling.graph.nodes) {
    const outputs = channelsOf(coupling, node.outputs);
    for (const c of channelsOf(coupling, node.inputs)) if (!outputs.has(c) && !weighted.get(node)?.has(c)) ends.add(c);
  }
  return ends;
}

function channelsOf(coupling: Coupling, names: readonly string[]): Set<Channel> {
  const found = new Set<Channel>();
  for (const name of names)
    for (const axis of coupling.axes.get(name) ?? [])
      for (const list of axis) for (const c of resolve(list)) found.add(c);
  return found;
}

/** 1 per index of an axis whose elements are all zero (minus zero too). */
function zeroSlices(t: Tensor, axis: number): Uint8Array {
  const length = t.dims[axis]!;
  const width = bitsOf[t.type] / 8;
  const zero = new Uint8Array(length).fill(1);
  if (t.type !== "float32") return zero.fill(0);
  const inner = sizeOf(t.dims.slice(axis + 1));
  const bits = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
  for (let i = 0; i < t.bytes.length / width; i++)
    if ((bits.getUint32(width * i, true) & 0x7fffffff) !== 0) zero[Math.floor(i / inner) % length] = 0;
  return zero;
}
