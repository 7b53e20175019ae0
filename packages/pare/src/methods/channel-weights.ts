/** Which weights live and die with a channel: a coupled graph and groups come in; for every channel its places among the trained weights leave. */
import { type Channel, resolve } from "../analyze/axes.js";
import type { Coupling } from "../analyze/couple.js";
import type { Group } from "../analyze/groups.js";
import { parametersOf } from "../analyze/parameters.js";
import { sizeOf } from "../graph/tensor.js";

/** By initialiser, flat indices in ascending order. */
export type Places = ReadonlyMap<string, Uint32Array>;

/** makers: what computes the channel, biases and scales included (all zero: the channel is zero); readers: what multiplies it (all zero: nobody reads it). */
export interface ChannelWeights {
  readonly makers: Places;
  readonly readers: Places;
}

/** For every channel of these groups. */
export function channelWeights(coupling: Coupling, groups: readonly Group[]): Map<Channel, ChannelWeights> {
  const trained = new Set(parametersOf(coupling.graph).map((p) => p.name));
  type Open = Record<keyof ChannelWeights, Map<string, Set<number>>>;
  const open = new Map<Channel, Open>();
  for (const group of groups) for (const c of group.channels) open.set(c, { makers: new Map(), readers: new Map() });
  for (const { tensor, node, axes } of coupling.uses) {
    if (!trained.has(tensor)) continue;
    const made = new Set<Channel>();
    for (const output of node.outputs)
      for (const axis of coupling.axes.get(output) ?? [])
        for (const list of axis) for (const c of resolve(list)) made.add(c);
    const dims = axes.map((axis) => axis.length);
    axes.forEach((axis, d) => {
      const inner = sizeOf(dims.slice(d + 1));
      const outer = sizeOf(dims.slice(0, d));
      axis.forEach((list, i) => {
        for (const c of resolve(list)) {
          const sides = open.get(c);
          if (!sides) continue;
          const side = made.has(c) ? sides.makers : sides.readers;
          const set = side.get(tensor) ?? new Set<number>();
          side.set(tensor, set);
          for (let o = 0; o < outer; o++) for (let k = 0; k < inner; k++) set.add((o * dims[d]! + i) * inner + k);
        }
      });
    });
  }
  const closed = (side: Map<string, Set<number>>): Places =>
    new Map([...side].map(([name, set]) => [name, Uint32Array.from(set).sort()]));
  return new Map([...open].map(([c, s]) => [c, { makers: closed(s.makers), readers: closed(s.readers) }]));
}

/** Both sides of a channel. */
export function allOf({ makers, readers }: ChannelWeights): Places {
  const all = new Map(makers);
  for (const [name, places] of readers) {
    const own = all.get(name);
    all.set(name, own ? Uint32Array.from(new Set([...own, ...places])).sort() : places);
  }
  return all;
}

/** Multiplies the weights at these places. */
export function scale(weights: ReadonlyMap<string, Float32Array>, places: Places, by: number): void {
  for (const [name, at] of places) {
    const values = weights.get(name);
    if (values) for (const i of at) values[i]! *= by;
  }
}
/** The 2-norm over the weights at these places. */
export function norm(weights: ReadonlyMap<string, Float32Array>, places: Places): number {
  let sum = 0;
  for (const [name, at] of places) {
    const values = weights.get(name);
    if (values) for (const i of at) sum += values[i]! ** 2;
  }
  return Math.sqrt(sum);
}
