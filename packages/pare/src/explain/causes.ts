/** One place that rounds and what its values are like enter; why it loses, in words, and what to do about it leave. */
import type { Statistics } from "../calibrate/statistics.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import type { Wiring } from "../quantization/wiring.js";
import type { Part, RoundedValue, RoundedWeight } from "./sites.js";

export const causes = [
  "outlier channel",
  "imbalance between layers",
  "clipped range",
  "saturation",
  "weights rounded by onnxruntime",
  "dead scale",
  "tiny range on a sigmoid",
  "shared scale on a concat",
  "rare extremes",
  "rounding",
] as const;
export interface Cause {
  readonly cause: (typeof causes)[number];
  /** What was seen, with its numbers. */
  readonly why: string;
  readonly fix: string;
}

/** Times that one channel must exceed the middle one to stand out. */
const outstanding = 8;
/** Times that strong channels must exceed weak ones to be out of balance. */
const unbalanced = 10;
/** Codes in use below which a grid is wasted. */
const fewCodes = 32;

const show = (x: number): string =>
  Math.abs(x) >= 1e4 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(1) : `${Number(x.toPrecision(3))}`;
const percent = (x: number): string => `${x < 0.001 ? "under 0.1" : Number((100 * x).toPrecision(2))} %`;
const rebalance =
  "equalise the channels across the layers (the default of pare quantize does), or keep the layer in float or int16";

/** What is known beside a value's own statistics. */
export interface Surroundings {
  readonly wiring: Wiring;
  readonly statisticsOf: (value: string) => Statistics | undefined;
  /** Every value that is rounded, by its name before and after. */
  readonly grids: ReadonlyMap<string, RoundedValue>;
}

export function causeOfValue(site: RoundedValue, s: Statistics, around: Surroundings): Cause {
  const { low, high, scale } = site;
  const [reach, seen] = [Math.max(high, -low), Math.max(Math.abs(s.min), Math.abs(s.max))];
  const grid = `its grid goes from ${show(low)} to ${show(high)}`;
  const range = `its values from ${show(s.min)} to ${show(s.max)}`;
  if (seen > 100 * reach)
    return {
      cause: "dead scale",
      why: `${grid}, ${range}: when the grid was made the value was all but zero, as in a branch that no sample used`,
      fix: "calibrate with samples that use this part of the network",
    };
  const [lost, share] = clipping(s, low, high);
  const clipped: Cause = {
    cause: "clipped range",
    why: `${grid}, ${range}: ${percent(share)} of them are cut off`,
    fix: "calibrate with samples that reach as far, or take ranges from extremes (min-max)",
  };
  if (lost > scale ** 2 && (share > 0.01 || seen > 2.5 * reach)) return clipped;
  return (
    concatenated(site, s, around) ??
    squashed(site, s) ??
    wasted(site, s, seen / reach) ??
    byChannel(s.channels && channelPeaks(s.channels), "channels of its values") ??
    rare(s) ??
    (lost > scale ** 2 / 4 ? clipped : null) ?? {
      cause: "rounding",
      why: `${grid} in steps of ${show(scale)}, ${range}: nothing is odd about them, yet the outputs depend on finer differences`,
      fix: "keep the layer in float, or in int16",
    }
  );
}

/** Mean square of what is cut off, over all elements, and the share of the elements that are. */
function clipping(s: Statistics, low: number, high: number): [number, number] {
  if (!s.histogram) return [0, 0];
  const { counts } = s.histogram;
  const width = (s.histogram.high - s.histogram.low) / counts.length;
  let [total, lost, cut] = [0, 0, 0];
  counts.forEach((count, k) => {
    const from = s.histogram!.low + k * width;
    total += count;
    // A bin that lies partly beyond counts by the part beyond.
    const beyond = Math.max(low - from, from + width - high, 0) - width / 2;
    if (beyond <= width / 100) return;
    lost += count * beyond ** 2;
    cut += count;
  });
  return total > 0 ? [lost / total, cut / total] : [0, 0];
}

const squashing = new Set(["Sigmoid", "HardSigmoid", "Softmax", "Tanh"]);
function squashed({ layer, low, high, scale }: RoundedValue, s: Statistics): Cause | null {
  if (!layer || !squashing.has(layer.node.op)) return null;
  const codes = (s.max - s.min) / scale;
  if (codes >= fewCodes && s.power > (8 * scale) ** 2) return null;
  return {
    cause: "tiny range on a sigmoid",
    why: `${layer.node.op} gives values from ${show(s.min)} to ${show(s.max)}, mostly about ${show(Math.sqrt(s.power))}; the grid from ${show(low)} to ${show(high)} has steps of ${show(scale)}`,
    fix: "give it a grid of its own range, or keep it and what reads it in float or int16",
  };
}

/** A Concat whose parts share a grid though some are much smaller than others. */
function concatenated(site: RoundedValue, s: Statistics, { wiring, statisticsOf, grids }: Surroundings): Cause | null {
  const maker = wiring.producer.get(site.raw);
  const reader = [site.rounded, site.raw]
    .flatMap((n) => wiring.readers.get(n) ?? [])
    .find((r) => r.at.node.op === "Concat");
  const concat = maker?.node.op === "Concat" ? maker : reader?.at;
  if (!concat) return null;
  const sizes = concat.node.inputs.map((name) => peak(statisticsOf(name) ?? statisticsOf(grids.get(name)?.raw ?? "")));
  const [smallest, largest] = [Math.min(...sizes.filter(Number.isFinite)), Math.max(...sizes.filter(Number.isFinite))];
  const reach = Math.max(site.high, -site.low);
  const shared =
    concat === maker ? largest > outstanding * smallest : reach > outstanding * peak(s) && reach <= 2 * largest;
  if (!shared) return null;
  return {
    cause: "shared scale on a concat",
    why: `the parts that ${concat.node.op} "${concat.node.name || concat.key}" joins reach to ${sizes.map(show).join(", ")} and share steps of ${show(site.scale)}: the small ones drown`,
    fix: "rescale the layers before it so that its parts are as large as one another (equalise), or keep the Concat in float",
  };
}
const peak = (s: Statistics | undefined): number => (s ? Math.max(Math.abs(s.min), Math.abs(s.max)) : Number.NaN);

function wasted({ low, high, scale }: RoundedValue, s: Statistics, use: number): Cause | null {
  if ((Math.max(0, s.max) - Math.min(0, s.min)) / scale >= fewCodes) return null;
  return {
    cause: "dead scale",
    why: `the grid goes from ${show(low)} to ${show(high)}, the values only from ${show(s.min)} to ${show(s.max)}: ${percent(use)} of it is used`,
    fix: "calibrate with samples like those that are used later",
  };
}

const channelPeaks = ({ min, max }: NonNullable<Statistics["channels"]>): number[] =>
  Array.from(min, (m, i) => Math.max(Math.abs(m), Math.abs(max[i]!)));

/** One channel that stands out, or strong and weak ones. */
function byChannel(peaks: readonly number[] | null, what: string): Cause | null {
  if (!peaks || peaks.length < 3) return null;
  const sorted = [...peaks].filter((p) => p > 0).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  if (sorted.length < 3) return null;
  const middle = at(0.5);
  const large = peaks.flatMap((p, i) => (p > outstanding * middle ? [i] : []));
  if (large.length > 0 && large.length <= Math.max(1, peaks.length * 0.13)) {
    const top = large.reduce((a, b) => (peaks[b]! > peaks[a]! ? b : a));
    return {
      cause: "outlier channel",
      why: `of the ${what} number ${top} reaches ${show(peaks[top]!)}, ${show(peaks[top]! / middle)} times the middle one: one scale for all leaves few codes to the others`,
      fix: rebalance,
    };
  }
  if (at(0.9) > unbalanced * at(0.1))
    return {
      cause: "imbalance between layers",
      why: `of the ${what} strong ones reach ${show(at(0.9))} and weak ones ${show(at(0.1))}: one scale for all leaves few codes to the weak`,
      fix: rebalance,
    };
  return null;
}

/** Input channels that are read with tiny weights, since the layer before makes them as much larger. */
function weakChannel(peaks: readonly number[] | null): Cause | null {
  if (!peaks || peaks.length < 4) return null;
  const middle = [...peaks].sort((a, b) => a - b)[peaks.length >> 1]!;
  const weak = peaks.flatMap((p, i) => (p > 0 && p * outstanding < middle ? [i] : []));
  if (weak.length < 1 || weak.length > Math.max(1, peaks.length * 0.13)) return null;
  const least = weak.reduce((a, b) => (peaks[b]! < peaks[a]! ? b : a));
  return {
    cause: "outlier channel",
    why: `it reads channel ${least} with weights of up to ${show(peaks[least]!)}, ${show(middle / peaks[least]!)} times smaller than the middle one's, as if the layer before made that channel as much larger: few codes are left to it`,
    fix: rebalance,
  };
}

function rare(s: Statistics): Cause | null {
  const typical = Math.sqrt(s.power);
  if (!(peak(s) > 12 * typical)) return null;
  return {
    cause: "rare extremes",
    why: `a few values reach ${show(peak(s))}, most are about ${show(typical)}: the steps are made for the few`,
    fix: "take ranges by percentile or squared error",
  };
}

/** `axis`: of the output channels, by part. */
export function causeOfWeight({ layer, parts }: RoundedWeight, axisOf: (part: Part) => number): Cause {
  const part = parts.reduce((a, b) => (sizeOf(b.float.dims) > sizeOf(a.float.dims) ? b : a));
  const { float, stored, scales } = part;
  const axis = axisOf(part);
  const [a, b] = [float32sOf(float), float32sOf(stored)];
  const rows = peaksAlong(a, float.dims, axis);
  const kept = peaksAlong(b, float.dims, axis);
  const perTensor = scales < rows.length;
  const farthest = Math.max(...kept);
  const cut = rows.filter((p, i) => kept[i]! > 0 && p > 1.25 * (perTensor ? farthest : kept[i]!)).length;
  if (cut > 0)
    return {
      cause: "clipped range",
      why: `weights of ${cut} of ${rows.length} output channels reach farther than their codes do (up to ${show(Math.max(...rows))} against ${show(farthest)})`,
      fix: "take the weights' scales from their extremes",
    };
  const found = perTensor ? byChannel(rows, "output channels of its weights, which share one scale,") : null;
  if (found) return { ...found, fix: "give each output channel a scale of its own" };
  const dead = rows.filter((p, i) => p > 0 && kept[i] === 0).length;
  if (dead > 0)
    return {
      cause: "dead scale",
      why: `the weights of ${dead} of ${rows.length} output channels all became zero`,
      fix: "give each output channel a scale of its own",
    };
  const inputs = float.dims.length > 1 ? peaksAlong(a, float.dims, axis === 0 ? 1 : 0) : null;
  const across = weakChannel(inputs) ?? byChannel(inputs, "input channels of its weights");
  if (across) return across;
  const typical = Math.sqrt(a.reduce((sum, v) => sum + v * v, 0) / Math.max(1, a.length));
  if (Math.max(...rows) > 20 * typical)
    return {
      cause: "rare extremes",
      why: `a few weights reach ${show(Math.max(...rows))}, most are about ${show(typical)}`,
      fix: "clip the scales to the least squared error, or store the weights by block",
    };
  return {
    cause: "rounding",
    why: `nothing is odd about the weights of ${layer.node.op}, yet the outputs depend on finer differences`,
    fix: "keep the layer in float, or choose its codes by what it computes (adaround, gptq)",
  };
}

/** Largest magnitude by index of an axis. */
export function peaksAlong(values: Float32Array, dims: readonly number[], axis: number): number[] {
  const inner = sizeOf(dims.slice(axis + 1));
  const length = dims[axis] ?? 1;
  const peaks = new Array<number>(length).fill(0);
  for (let i = 0; i < values.length; i++) {
    const k = Math.floor(i / inner) % length;
    const v = Math.abs(values[i]!);
    if (v > peaks[k]!) peaks[k] = v;
  }
  return peaks;
}
