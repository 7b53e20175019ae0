/**
 * Cross-layer equalisation: a Graph comes in; the same function goes out, with channels whose weights are as large where they are made as where
 * they are read, so that one scale per tensor fits them all.
 *
 * Nagel, van Baalen, Blankevoort, Welling: Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
 *
 * Differs from the paper:
 * - Channels are whatever `scalings` finds: through residual sums, concatenations and reshapes, several layers may make and read one channel.
 * - A channel is as strong as the root of its weights' sum of squares, over all layers that make it or read it, not as its largest weight: weights
 *   have a scale per channel here, so what must be even is the activation, and that adds up in squares. (On ResNet-20 with 8 bits: 29.7 dB to the
 *   float outputs, 26.7 dB by the largest weight.)
 * - A depthwise layer makes and reads each channel at once; sweeps over all families of channels settle three layers at their common mean.
 * - Clip(0, 6) is left as it is, and channels do not pass it. High biases are not absorbed (section 4.1.3); a channel whose bias is out of
 *   proportion to its weights counts by its bias instead.
 */
import type { Dims } from "../../analyze/probe.js";
import { type Scalings, scalings } from "../../analyze/scalings.js";
import type { Graph } from "../../graph/graph.js";
import { rescale } from "../../passes/rescale.js";
import { channelFamilies, type Family, powers, type Side } from "../../quantization/channel-families.js";

export interface EqualizeOptions {
  /** Dims for inputs that leave axes open. */
  readonly inputs?: Dims;
  /** Sweeps over all families of channels, at most. */
  readonly sweeps?: number;
}

/** Changes of less than this (in the logarithm of a factor) are none. */
const settled = 1e-3;
/** No factor lies beyond 2^20 or below its reciprocal: what asks for more is a dead channel. */
const furthest = 20 * Math.LN2;

/** Throws PareError where shapes contradict one another. */
export function equalize(graph: Graph, options: EqualizeOptions = {}): Graph {
  const found = equalization(graph, options);
  return found ? rescale(graph, found.scalings, found.factors) : graph;
}

/** The factors alone, by the unknowns of the scalings; null where nothing is to change. Throws as `equalize` does. */
export function equalization(
  graph: Graph,
  options: EqualizeOptions = {},
): { readonly scalings: Scalings; readonly factors: Float64Array } | null {
  const found = scalings(graph, options.inputs ? { inputs: options.inputs } : {});
  const families = channelFamilies(graph, found).filter((f) => f.makers.length > 0);
  const logs = new Float64Array(found.count + 1);
  for (let sweep = 0; sweep < (options.sweeps ?? 40); sweep++) {
    let change = 0;
    for (const f of families) change = Math.max(change, balance(f, logs));
    if (change < settled) break;
  }
  return logs.some((t) => t !== 0) ? { scalings: found, factors: logs.map(Math.exp) } : null;
}

/** Equation 11, under the present factors; returns the largest change. */
function balance(family: Family, logs: Float64Array): number {
  const { ids, biases } = family;
  const made = strengths(family.makers, "over", logs);
  const read = strengths(family.readers, "under", logs);
  const shifts = ids.map((id, i) => biases[i]! * Math.exp(logs[id]!));
  const proportion = usualProportion(made, shifts);
  let change = 0;
  ids.forEach((id, i) => {
    const [r1, r2] = [Math.max(made[i]!, shifts[i]! / proportion), read[i]!];
    if (!(r1 > 0 && r2 > 0)) return;
    const before = logs[id]!;
    logs[id] = Math.min(furthest, Math.max(-furthest, before + 0.5 * Math.log(r2 / r1)));
    change = Math.max(change, Math.abs(logs[id]! - before));
  });
  return change;
}
/** Three quarters of the channels have a |bias| of at most this many times the strength of their weights. */
function usualProportion(made: Float64Array, shifts: readonly number[]): number {
  const all = shifts.flatMap((b, i) => (made[i]! > 0 ? [b / made[i]!] : [])).sort((a, b) => a - b);
  return all[Math.floor(all.length * 0.75)] || Number.POSITIVE_INFINITY;
}

/** By channel, the root of the sum of squares of its weights in all layers of one side. */
function strengths(sides: readonly Side[], side: "over" | "under", logs: Float64Array): Float64Array {
  const sums = new Float64Array(sides[0]!.places.length);
  for (const { table, places } of sides) {
    const all = powers(table, side, logs);
    places.forEach((k, i) => {
      sums[i]! += all[k]!;
    });
  }
  return sums.map(Math.sqrt);
}
