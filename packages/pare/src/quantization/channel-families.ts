/** Channels that the same layers make and read: a Graph and its scalings come in; out, each family with the weights on both sides as tables. */
import type { ScaledUse, Scalings } from "../analyze/scalings.js";
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { idsOf } from "../passes/rescale.js";

/** One constant's weights by the channels that multiply (rows) and divide them (columns). */
export interface Table {
  readonly use: ScaledUse;
  /** Unknowns of `Scalings`, each once; 0 among them where some weights keep their scale. */
  readonly over: readonly number[];
  readonly under: readonly number[];
  /** Largest |weight| and sum of squares, row-major. */
  readonly largest: Float64Array;
  readonly power: Float64Array;
}
/** A table, and where the family's channels lie in its rows or columns. */
export interface Side {
  readonly table: Table;
  readonly places: Int32Array;
}
export interface Family {
  /** Unknowns of `Scalings`. */
  readonly ids: readonly number[];
  readonly makers: readonly Side[];
  /** At least one. */
  readonly readers: readonly Side[];
  /** Largest |constant| that is added to the channel where it is made, by channel; 0 where nothing is. */
  readonly biases: Float64Array;
}

/** Sum of squares of each row ("over") or column ("under"), with the factors exp(logs) applied. */
export function powers({ over, under, power }: Table, side: "over" | "under", logs: Float64Array): Float64Array {
  const sums = new Float64Array(side === "over" ? over.length : under.length);
  const [up, down] = [over.map((id) => Math.exp(2 * logs[id]!)), under.map((id) => Math.exp(-2 * logs[id]!))];
  for (let a = 0, k = 0; a < over.length; a++)
    for (let b = 0; b < under.length; b++, k++) sums[side === "over" ? a : b]! += power[k]! * up[a]! * down[b]!;
  return sums;
}

/** Families that some contraction reads, in the order of the unknowns. Where no contraction makes a channel, what else scales it counts as its maker. */
export function channelFamilies(graph: Graph, found: Scalings): Family[] {
  const tables = new Map(found.uses.map((u) => [u, tableOf(graph, u)]));
  const places = Array.from({ length: found.count + 1 }, () => ({ over: [] as ScaledUse[], under: [] as ScaledUse[] }));
  for (const u of found.uses)
    for (const side of ["over", "under"] as const) for (const id of tables.get(u)![side]) places[id]![side].push(u);
  const numbers = new Map(found.uses.map((u, k) => [u, k]));
  const grouped = new Map<string, number[]>();
  places.forEach(({ over, under }, id) => {
    if (id === 0) return;
    const key = [over, under].map((list) => list.map((u) => numbers.get(u))).join("|");
    grouped.set(key, [...(grouped.get(key) ?? []), id]);
  });
  return [...grouped.values()].flatMap((ids): Family[] => {
    const { over, under } = places[ids[0]!]!;
    const weights = over.filter(isWeight);
    const makers = weights.length > 0 ? weights : over;
    const sides = (uses: readonly ScaledUse[], side: "over" | "under"): Side[] =>
      uses.map((u) => {
        const table = tables.get(u)!;
        const at = new Map(table[side].map((id, k) => [id, k]));
        return { table, places: Int32Array.from(ids, (id) => at.get(id)!) };
      });
    const readers = sides(under.filter(isWeight), "under");
    if (readers.length === 0) return [];
    const biases = new Float64Array(ids.length);
    for (const { table, places: p } of sides(
      over.filter((u) => !makers.includes(u)),
      "over",
    ))
      p.forEach((k, i) => {
        const row = table.largest.subarray(k * table.under.length, (k + 1) * table.under.length);
        biases[i] = row.reduce((most, b) => Math.max(most, b), biases[i]!);
      });
    return [{ ids, makers: sides(makers, "over"), readers, biases }];
  });
}
/** What is multiplied in a contraction, not what is added to it. */
const isWeight = (u: ScaledUse): boolean => recordOf(u.node)?.quant === "weights" && u.input < 2;

function tableOf(graph: Graph, use: ScaledUse): Table {
  const t = graph.initializers.get(use.tensor)!;
  const [over, under] = [[...new Set(use.over.ids)], [...new Set(use.under.ids)]];
  const [row, column] = [over, under].map((ids) => new Map(ids.map((id, k) => [id, k]))) as [
    Map<number, number>,
    Map<number, number>,
  ];
  const [rowOf, columnOf] = [idsOf(use.over, t.dims), idsOf(use.under, t.dims)];
  const largest = new Float64Array(over.length * under.length);
  const power = new Float64Array(largest.length);
  float32sOf(t).forEach((w, i) => {
    const k = row.get(rowOf(i))! * under.length + column.get(columnOf(i))!;
    if (Math.abs(w) > largest[k]!) largest[k] = Math.abs(w);
    power[k]! += w * w;
  });
  return { use, over, under, largest, power };
}
