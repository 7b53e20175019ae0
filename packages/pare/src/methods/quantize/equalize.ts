/**
 * Cross-layer equalisation: a Graph comes in; the same function goes out, with channels whose weights are as large where they are made as where
 * they are read, so that one scale per tensor fits them all.
 *
 * Nagel, van Baalen, Blankevoort, Welling: Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
 *
 * Differs from the paper:
 * - Channels are whatever `scalings` finds: through residual sums, concatenations and reshapes, several layers may make and read one channel. Its
 *   range among them is the geometric mean of its ranges relative to each layer's own (equation 8's precision).
 * - A depthwise layer makes and reads each channel at once; sweeps over all families of channels settle three layers at their common mean.
 * - Clip(0, 6) is left as it is, and channels do not pass it. High biases are not absorbed (section 4.1.3); a channel whose bias is out of
 *   proportion to its weights counts by its bias instead.
 */
import type { Dims } from "../../analyze/probe.js";
import { type ScaledUse, type Scalings, scalings } from "../../analyze/scalings.js";
import type { Graph } from "../../graph/graph.js";
import { float32sOf } from "../../graph/tensor.js";
import { recordOf } from "../../ops/registry.js";
import { idsOf, rescale } from "../../passes/rescale.js";

export interface EqualizeOptions {
  /** Dims for inputs that leave axes open. */
  readonly inputs?: Dims;
  /** Sweeps over all families of channels, at most. */
  readonly sweeps?: number;
}

/** Largest |weight| of one constant by the channels that multiply (rows) and divide it (columns). */
interface Table {
  readonly over: readonly number[];
  readonly under: readonly number[];
  /** Row-major. */
  readonly largest: Float64Array;
}
/** Channels that the same constants make and read. */
interface Family {
  readonly ids: readonly number[];
  readonly makers: readonly Table[];
  readonly readers: readonly Table[];
  /** |bias| by id. */
  readonly biases: ReadonlyMap<number, number>;
}

/** Changes of less than this (in the logarithm of a factor) are none. */
const settled = 1e-3;
/** No factor lies beyond 2^20 or below its reciprocal: what asks for more is a dead channel. */
const furthest = 20 * Math.LN2;

/** Throws PareError where shapes contradict one another. */
export function equalize(graph: Graph, options: EqualizeOptions = {}): Graph {
  const found = scalings(graph, options.inputs ? { inputs: options.inputs } : {});
  const families = familiesOf(graph, found);
  const logs = new Float64Array(found.count + 1);
  for (let sweep = 0; sweep < (options.sweeps ?? 40); sweep++) {
    let change = 0;
    for (const f of families) change = Math.max(change, balance(f, logs));
    if (change < settled) break;
  }
  return logs.some((t) => t !== 0) ? rescale(graph, found, logs.map(Math.exp)) : graph;
}

/** Equation 11, with every maker's and reader's range under the present factors; returns the largest change. */
function balance({ ids, makers, readers, biases }: Family, logs: Float64Array): number {
  const made = rangesIn(ids, makers, "over", logs);
  const read = rangesIn(ids, readers, "under", logs);
  const proportion = usualProportion(ids, made, biases, logs);
  let change = 0;
  ids.forEach((id, i) => {
    const bias = ((biases.get(id) ?? 0) * Math.exp(logs[id]!)) / proportion;
    const [r1, r2] = [Math.max(made[i]!, bias), read[i]!];
    if (!(r1 > 0 && r2 > 0)) return;
    const before = logs[id]!;
    logs[id] = Math.min(furthest, Math.max(-furthest, before + 0.5 * Math.log(r2 / r1)));
    change = Math.max(change, Math.abs(logs[id]! - before));
  });
  return change;
}
/** Of most channels |bias| is not above this many times the largest |weight|. */
function usualProportion(
  ids: readonly number[],
  made: Float64Array,
  biases: ReadonlyMap<number, number>,
  logs: Float64Array,
): number {
  const all = ids.flatMap((id, i) => (made[i]! > 0 ? [((biases.get(id) ?? 0) * Math.exp(logs[id]!)) / made[i]!] : []));
  return all.sort((a, b) => a - b)[Math.floor(all.length * 0.75)] || Number.POSITIVE_INFINITY;
}

/** By channel, the geometric mean over the tables of its range there. */
function rangesIn(
  ids: readonly number[],
  tables: readonly Table[],
  side: "over" | "under",
  logs: Float64Array,
): Float64Array {
  const means = new Float64Array(ids.length);
  for (const t of tables) {
    const ranges = rangesOf(t, side, logs);
    ids.forEach((id, i) => {
      means[i]! += Math.log(ranges.get(id) ?? 0) / tables.length;
    });
  }
  return means.map(Math.exp);
}
function rangesOf({ over, under, largest }: Table, side: "over" | "under", logs: Float64Array): Map<number, number> {
  const ranges = new Map<number, number>();
  const [up, down] = [over.map((id) => Math.exp(logs[id]!)), under.map((id) => Math.exp(-logs[id]!))];
  for (let a = 0, k = 0; a < over.length; a++)
    for (let b = 0; b < under.length; b++, k++) {
      const id = side === "over" ? over[a]! : under[b]!;
      const r = largest[k]! * up[a]! * down[b]!;
      if (r > (ranges.get(id) ?? 0)) ranges.set(id, r);
    }
  return ranges;
}

function familiesOf(graph: Graph, found: Scalings): Family[] {
  const tables = new Map(found.uses.map((u) => [u, tableOf(graph, u)]));
  const places = Array.from({ length: found.count + 1 }, () => ({ over: [] as ScaledUse[], under: [] as ScaledUse[] }));
  for (const u of found.uses)
    for (const side of ["over", "under"] as const) for (const id of new Set(u[side].ids)) places[id]![side].push(u);
  const order = new Map(found.uses.map((u, k) => [u, k]));
  const grouped = new Map<string, number[]>();
  places.forEach(({ over, under }, id) => {
    if (id === 0) return;
    const key = `${over.map((u) => order.get(u))}|${under.map((u) => order.get(u))}`;
    grouped.set(key, [...(grouped.get(key) ?? []), id]);
  });
  return [...grouped.values()].flatMap((ids): Family[] => {
    const { over, under } = places[ids[0]!]!;
    const weights = over.filter(isWeight);
    const makers = weights.length > 0 ? weights : over;
    const readers = under.filter(isWeight);
    if (makers.length === 0 || readers.length === 0) return [];
    const biases = new Map<number, number>();
    for (const u of over.filter((u) => !makers.includes(u)))
      for (const [id, r] of rangesOf(tables.get(u)!, "over", new Float64Array(found.count + 1)))
        biases.set(id, Math.max(r, biases.get(id) ?? 0));
    const of = (list: readonly ScaledUse[]) => list.map((u) => tables.get(u)!);
    return [{ ids, makers: of(makers), readers: of(readers), biases }];
  });
}
/** What is multiplied in a contraction, not what is added to it. */
const isWeight = (u: ScaledUse): boolean => recordOf(u.node)?.quant === "weights" && u.input < 2;

function tableOf(graph: Graph, u: ScaledUse): Table {
  const t = graph.initializers.get(u.tensor)!;
  const [over, under] = [[...new Set(u.over.ids)], [...new Set(u.under.ids)]];
  const [row, column] = [placesOf(over), placesOf(under)];
  const [rowOf, columnOf] = [idsOf(u.over, t.dims), idsOf(u.under, t.dims)];
  const largest = new Float64Array(over.length * under.length);
  float32sOf(t).forEach((w, i) => {
    const k = row.get(rowOf(i))! * under.length + column.get(columnOf(i))!;
    largest[k] = Math.max(largest[k]!, Math.abs(w));
  });
  return { over, under, largest };
}
const placesOf = (ids: readonly number[]): Map<number, number> => new Map(ids.map((id, k) => [id, k]));
