/** A network and what calibration saw of its values enter; other forms of the same function leave, each with the extremes that its values have there, without a run of it. */
import { infer } from "../analyze/infer.js";
import { type Scalings, type Spread, scalings } from "../analyze/scalings.js";
import type { Statistics } from "../calibrate/statistics.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { equalization } from "../methods/quantize/equalize.js";
import { smooth, smoothNeeds } from "../methods/quantize/smooth-quant.js";
import { rescale } from "../passes/rescale.js";

export interface Form {
  readonly name: string;
  readonly net: Graph;
  /** Of values that are known without running it. */
  readonly extremes: ReadonlyMap<string, Statistics>;
}
type Seen = ReadonlyMap<string, Statistics>;

/** Axes by value: values that have other factors in other forms are seen by channel, so that they need not be seen again. `needed`: by these forms are made. */
export interface Channels {
  readonly axes: ReadonlyMap<string, number>;
  readonly needed: readonly string[];
}
export function channelsOf(net: Graph): Channels {
  const { types } = infer(net);
  const found = orNull(() => scalings(net));
  const axes = new Map(
    [...(found?.values ?? [])].flatMap(([name, { axes }]) =>
      axes.length === 1 && typeof types.get(name)?.shape?.[axes[0]!] === "number" ? [[name, axes[0]!] as const] : [],
    ),
  );
  const needed = orNull(() => smoothNeeds(net)) ?? new Map();
  return { axes, needed: [...needed.keys()].filter((name) => axes.has(name)) };
}

/** Channels equalised; null where that changes nothing. */
export function equalised(net: Graph, seen: Seen): Form | null {
  const found = orNull(() => equalization(net));
  if (!found) return null;
  const { scalings: all, factors } = found;
  return { name: "channels equalised", net: rescale(net, all, factors), extremes: scaled(seen, all, factors) };
}
/** Channels smoothed, by the extremes that were seen; null where that changes nothing. */
export function smoothed(net: Graph, seen: Seen, weightBits: number): Form | null {
  const found = orNull(() => smooth(net, seen, { weightBits }));
  if (!found || found.graph === net) return null;
  const { graph, scalings: all, factors } = found;
  return { name: "channels smoothed", net: graph, extremes: scaled(seen, all, factors) };
}

/** Null where the method does not suit the network. */
function orNull<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof PareError) return null;
    throw error;
  }
}

function scaled(seen: Seen, { values }: Scalings, factors: ArrayLike<number>): Map<string, Statistics> {
  const factor = (id: number): number => (id === 0 ? 1 : factors[id]!);
  return new Map(
    [...seen].flatMap(([name, s]) => {
      const spread = values.get(name);
      const after = spread ? scaledBy(s, spread, factor) : { ...s, histogram: null };
      return after ? [[name, after] as const] : [];
    }),
  );
}
/** What would be seen of a value whose elements are multiplied by factors above 0; null where its channels were not seen. */
function scaledBy(s: Statistics, { axes, ids }: Spread, factor: (id: number) => number): Statistics | null {
  if (axes.length === 0) {
    const f = factor(ids[0]!);
    return {
      ...s,
      min: s.min * f,
      max: s.max * f,
      power: s.power * f * f,
      histogram: null,
      channels: null,
    };
  }
  const c = s.channels;
  if (axes.length > 1 || !c || c.axis !== axes[0] || c.min.length !== ids.length) return null;
  const by = (list: Float32Array, exponent: 1 | 2): Float32Array => list.map((x, k) => x * factor(ids[k]!) ** exponent);
  const [min, max, power] = [by(c.min, 1), by(c.max, 1), by(c.power, 2)];
  return {
    min: min.reduce((a, b) => Math.min(a, b)),
    max: max.reduce((a, b) => Math.max(a, b)),
    count: s.count,
    power: power.reduce((sum, x) => sum + x, 0) / power.length,
    histogram: null,
    channels: { axis: c.axis, min, max, power },
  };
}
