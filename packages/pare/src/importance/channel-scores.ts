/** From weights to channels: scores of weights and coupled groups enter; one score per channel of each group leaves. */
import { type Channel, resolve } from "../analyze/axes.js";
import type { Coupling } from "../analyze/couple.js";
import type { Group } from "../analyze/groups.js";
import { layersOf } from "../analyze/layers.js";
import { sizeOf } from "../graph/tensor.js";
import type { Scores } from "./measure.js";

export interface ChannelOptions {
  /** sum: what the whole channel costs; mean: independent of how much there is of it. */
  readonly reduce: "sum" | "mean" | "max";
  /** outputs: the weights that make the channel alone; all: those that read it too. */
  readonly sides: "outputs" | "all";
}

/** Sum, count and maximum of what belongs to a channel. */
interface Tally {
  sum: number;
  count: number;
  max: number;
}

/** One list per group, in the order of its channels; null for a group of which the scores say nothing. */
export function channelScores(
  coupling: Coupling,
  groups: readonly Group[],
  scores: Scores,
  { reduce, sides }: ChannelOptions,
): (Float64Array | null)[] {
  const tallies = new Map<Channel, Tally>();
  for (const group of groups) for (const c of group.channels) tallies.set(c, { sum: 0, count: 0, max: 0 });
  const layers = layersOf(coupling.graph, coupling.inferred);
  for (const { tensor, node, input, axes } of coupling.uses) {
    const values = scores.get(tensor);
    if (!values) continue;
    const layer = layers.find((l) => l.node === node && l.input === input);
    const dims = axes.map((a) => a.length);
    axes.forEach((axis, d) => {
      if (sides === "outputs" && layer && !layer.kept[d]) return;
      const lists = axis.map(resolve);
      if (!lists.some((list) => list.some((c) => tallies.has(c)))) return;
      const slices = slicesAlong(values, dims, d);
      lists.forEach((list, i) => {
        for (const c of list) {
          const tally = tallies.get(c);
          if (tally) add(tally, slices[i]!);
        }
      });
    });
  }
  return groups.map(({ channels }) => {
    const own = channels.map((c) => tallies.get(c)!);
    if (own.every((t) => t.count === 0)) return null;
    return Float64Array.from(own, (t) => (reduce === "max" ? t.max : reduce === "sum" ? t.sum : t.sum / t.count));
  });
}

function add(to: Tally, from: Tally): void {
  to.sum += from.sum;
  to.count += from.count;
  to.max = Math.max(to.max, from.max);
}

/** What lies at each index of one axis. */
export function slicesAlong(values: Float32Array, dims: readonly number[], axis: number): Tally[] {
  const inner = sizeOf(dims.slice(axis + 1));
  const slices = Array.from({ length: dims[axis]! }, (): Tally => ({ sum: 0, count: 0, max: 0 }));
  for (let i = 0; i < values.length; i++) {
    const slice = slices[Math.floor(i / inner) % slices.length]!;
    slice.sum += values[i]!;
    slice.count++;
    if (values[i]! > slice.max) slice.max = values[i]!;
  }
  return slices;
}
