/**
 * SmoothQuant: a float graph and what calibration saw of its channels come in; the same function goes out, with factors moved between activations and the
 * weights that read them, such that 8 bits for both do the least damage.
 *
 * Xiao, Lin, Seznec, Wu, Demouth, Han: SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models, ICML 2023.
 *
 * Differs from the paper:
 * - Not only what a LayerNormalization makes: every family of channels that `scalings` finds, so convolutions and residual streams too.
 * - alpha (equation 4) is chosen per family, from 0 to 1 or none at all, by the error that rounding is expected to leave in the outputs of all its
 *   readers: rounding errors are independent and uniform, weights have a scale per output channel, activations one per tensor.
 */
import type { Dims } from "../../analyze/probe.js";
import { type ScaledUse, type Scalings, scalings } from "../../analyze/scalings.js";
import type { Statistics } from "../../calibrate/statistics.js";
import type { Graph } from "../../graph/graph.js";
import { float32sOf, sizeOf } from "../../graph/tensor.js";
import { idsOf, rescale } from "../../passes/rescale.js";
import { channelFamilies, type Family } from "../../quantization/channel-families.js";
import { finestLayout } from "../../quantization/weight-axis.js";
import { type Wiring, wiringOf } from "../../quantization/wiring.js";

export interface SmoothOptions {
  /** Dims for inputs that leave axes open. */
  readonly inputs?: Dims;
  /** 8 unless given; 7 for weights that keep to seven bits. */
  readonly weightBits?: number;
  readonly activationBits?: number;
}
export interface Smoothed {
  readonly graph: Graph;
  /** What was scaled, and by how much: factors by the unknowns of the scalings. */
  readonly scalings: Scalings;
  readonly factors: Float64Array;
  /** By family: a value that carries it, the alpha, and by how many dB the expected error fell. */
  readonly chosen: readonly { readonly value: string; readonly alpha: number; readonly gainDb: number }[];
}

const alphas = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const sweeps = 3;
/** Factors stay within 2^-20 and 2^20. */
const furthest = 20 * Math.LN2;

/** The values whose channels have to be calibrated, and along which axis: what `calibrate` takes. */
export function smoothNeeds(graph: Graph, options: SmoothOptions = {}): Map<string, { channels: number }> {
  const found = scalings(graph, options.inputs ? { inputs: options.inputs } : {});
  return new Map(
    channelFamilies(graph, found)
      .flatMap((f) => f.readers.map(({ table }) => dataOf(table.use)))
      .flatMap((name) => {
        const axes = found.values.get(name)?.axes;
        return axes?.length === 1 ? [[name, { channels: axes[0]! }] as const] : [];
      }),
  );
}
/** The value that a contraction multiplies with this constant. */
const dataOf = (u: ScaledUse): string => u.node.inputs[1 - u.input]!;

/** Families of which some value has no statistics stay as they are. Throws PareError where shapes contradict one another. */
export function smooth(
  graph: Graph,
  statistics: ReadonlyMap<string, Statistics>,
  options: SmoothOptions = {},
): Smoothed {
  const found = scalings(graph, options.inputs ? { inputs: options.inputs } : {});
  const wiring = wiringOf(graph);
  const levels = {
    weight: 2 ** ((options.weightBits ?? 8) - 1) - 1,
    activation: 2 ** (options.activationBits ?? 8) - 1,
  };
  const logs = new Float64Array(found.count + 1);
  const known = new Map<ScaledUse, Reader | null>();
  const readerOf = (u: ScaledUse): Reader | null => {
    const before = known.get(u);
    const reader = before === undefined ? makeReader(graph, wiring, found, u, statistics) : before;
    known.set(u, reader);
    return reader;
  };
  const families = channelFamilies(graph, found).flatMap((family) => {
    const readers = family.readers.map(({ table }) => readerOf(table.use));
    return readers.every((r) => r !== null) ? [{ family, readers: readers as Reader[], alpha: Number.NaN }] : [];
  });
  const error = (readers: readonly Reader[], at: Float64Array) =>
    readers.reduce((sum, r) => sum + expectedError(r, at, levels), 0);
  const start = families.map(({ readers }) => error(readers, logs));
  for (let sweep = 0; sweep < sweeps; sweep++)
    for (const f of families) {
      let least = error(f.readers, logs);
      let best: Float64Array = logs;
      for (const alpha of alphas) {
        const tried = withAlpha(f.family, f.readers, alpha, logs);
        const e = error(f.readers, tried);
        if (e < least * 0.999) [least, best, f.alpha] = [e, tried, alpha];
      }
      logs.set(best);
    }
  const chosen = families.flatMap(({ readers, alpha }, k) =>
    Number.isNaN(alpha)
      ? []
      : [{ value: readers[0]!.value, alpha, gainDb: 10 * Math.log10(start[k]! / error(readers, logs)) }],
  );
  const factors = logs.map(Math.exp);
  return { graph: chosen.length > 0 ? rescale(graph, found, factors) : graph, scalings: found, factors, chosen };
}

/** A contraction: its weights by output channel (rows) and by unknown of the channel that they read (columns). */
interface Reader {
  readonly value: string;
  readonly ids: readonly number[];
  readonly rows: number;
  /** Row-major: largest |weight| and number of weights; by column: their sum of squares. */
  readonly largest: Float64Array;
  readonly count: Float64Array;
  readonly columnPower: Float64Array;
  /** Of the activation, by column: extremes and mean square. */
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly power: Float64Array;
  /** Mean square of the outputs, were inputs independent. */
  readonly signal: number;
}

function makeReader(
  graph: Graph,
  wiring: Wiring,
  found: Scalings,
  u: ScaledUse,
  statistics: ReadonlyMap<string, Statistics>,
): Reader | null {
  const value = dataOf(u);
  const carried = found.values.get(value);
  const channels = statistics.get(value)?.channels;
  const at = wiring.producer.get(u.node.outputs[0]!);
  const site = at && wiring.siteOf(at);
  if (carried?.axes.length !== 1 || channels?.min.length !== carried.ids.length || !site) return null;
  const ids = [...new Set([...carried.ids, ...u.under.ids])];
  const column = new Map(ids.map((id, k) => [id, k]));
  const [min, max, power, seen] = [0, 1, 2, 3].map(() => new Float64Array(ids.length)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  carried.ids.forEach((id, c) => {
    const k = column.get(id)!;
    min[k] = Math.min(min[k]!, channels.min[c]!);
    max[k] = Math.max(max[k]!, channels.max[c]!);
    power[k]! += channels.power[c]!;
    seen[k]!++;
  });
  power.forEach((p, k) => {
    power[k] = p / Math.max(1, seen[k]!);
  });
  const t = graph.initializers.get(u.tensor)!;
  const { axis } = finestLayout(site, u.input);
  const rows = axis === null ? 1 : t.dims[axis]!;
  const inner = axis === null ? sizeOf(t.dims) : sizeOf(t.dims.slice(axis + 1));
  const idOf = idsOf(u.under, t.dims);
  const largest = new Float64Array(rows * ids.length);
  const count = new Float64Array(rows * ids.length);
  const columnPower = new Float64Array(ids.length);
  float32sOf(t).forEach((w, i) => {
    const c = column.get(idOf(i))!;
    const k = (Math.floor(i / inner) % rows) * ids.length + c;
    largest[k] = Math.max(largest[k]!, Math.abs(w));
    count[k]!++;
    columnPower[c]! += w * w;
  });
  const signal = columnPower.reduce((sum, w, k) => sum + w * power[k]!, 0);
  return signal > 0 ? { value, ids, rows, largest, count, columnPower, min, max, power, signal } : null;
}

/** Mean square of what rounding leaves in the outputs, relative to the outputs'. */
function expectedError(r: Reader, logs: Float64Array, levels: { weight: number; activation: number }): number {
  const { ids, rows, largest, count } = r;
  const factor = Float64Array.from(ids, (id) => Math.exp(logs[id]!));
  let [low, high] = [0, 0];
  factor.forEach((f, k) => {
    low = Math.min(low, r.min[k]! * f);
    high = Math.max(high, r.max[k]! * f);
  });
  let error = 0;
  const step = (high - low) / levels.activation;
  factor.forEach((f, k) => {
    error += ((step * step) / 12) * (r.columnPower[k]! / (f * f));
  });
  for (let row = 0, i = 0; row < rows; row++) {
    let [top, energy] = [0, 0];
    for (let k = 0; k < ids.length; k++, i++) {
      const f = factor[k]!;
      if (largest[i]! > top * f) top = largest[i]! / f;
      energy += count[i]! * f * f * r.power[k]!;
    }
    error += ((top / levels.weight) ** 2 / 12) * energy;
  }
  return error / r.signal;
}

/** Equation 4: an activation is divided by max|X|^alpha / max|W|^(1 - alpha), over all readers of the family. */
function withAlpha(family: Family, readers: readonly Reader[], alpha: number, logs: Float64Array): Float64Array {
  const tried = logs.slice();
  const shifts = family.ids.map((id) => {
    let [x, w] = [0, 0];
    for (const r of readers) {
      const k = r.ids.indexOf(id);
      x += Math.max(-r.min[k]!, r.max[k]!) ** 2;
      let top = 0;
      for (let i = k; i < r.largest.length; i += r.ids.length) top = Math.max(top, r.largest[i]!);
      w += top * top;
    }
    return x > 0 && w > 0 ? ((1 - alpha) * Math.log(w) - alpha * Math.log(x)) / 2 : null;
  });
  const alive = shifts.filter((s) => s !== null);
  const mean = alive.reduce((sum, s) => sum + s, 0) / Math.max(1, alive.length);
  family.ids.forEach((id, i) => {
    const s = shifts[i];
    tried[id] = s === null || s === undefined ? 0 : Math.min(furthest, Math.max(-furthest, s - mean));
  });
  return tried;
}
