/** Operators that repeat or surround elements: Expand, Tile, Pad. */
import type { Emitter } from "../graph/emit.js";
import { node } from "../graph/emit.js";
import type { Dim, Shape } from "../graph/graph.js";
import { sumTo } from "./calculus.js";
import { axisIn, broadcast } from "./dims.js";
import { productOf, ranked, shown } from "./lengths.js";
import { letters, moved, reject, stridesOf, unknownRank, unpick, xDims, yDims } from "./move.js";
import type { GradientSite, Operator, Site } from "./record.js";
import { awaits, none, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, numbersOf, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

const common = { domain: "", quant: "passes" as const, packs: awaits("repeat") };

const Expand = op({
  ...common,
  type: "Expand",
  keeps: 1,
  moves: "first",
  zero: keepsZero,
  homogeneous: ofFirst,
  domain: "",
  attrs: () => ({}),
  axes: "a..., -> a...",
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    const wanted = intsOf(s.value(1)) ?? s.lengths?.(1);
    if (wanted && x) return [{ type, shape: broadcast(s.node, [x, wanted]) }];
    const rank = s.x[1]?.shape?.[0];
    return [{ type, shape: x && typeof rank === "number" ? ranked(Math.max(rank, x.length)) : null }];
  },
  grad: (g, s) => [s.wanted[0] ? sumTo(g, s.dy[0]!, s.outDims(0), s.dims(0)) : null, null],
  raise: "same",
  rewrite: (s, kept) => {
    const [old, y, y0] = [intsOf(s.value(1)), kept.y[0], yDims(s)];
    if (!old || !y || !y0) return {};
    const lead = y.length - old.length;
    const values = old.map((t, d) => (t === 1 || y[d + lead] === y0[d + lead] ? t : y[d + lead]!));
    return { inputs: { 1: tensorOf("int64", [values.length], values)! } };
  },
  fold: (s) => {
    const [v, y] = [s.value(0), yDims(s)];
    if (!v || !y) return null;
    const [to, from] = [stridesOf(y), stridesOf(v.dims)];
    const lead = y.length - v.dims.length;
    return [
      moved(v, y, (k) =>
        v.dims.reduce((i, n, d) => i + (n === 1 ? 0 : Math.floor(k / to[d + lead]!) % n) * from[d]!, 0),
      ),
    ];
  },
});

const Tile = op({
  ...common,
  type: "Tile",
  zero: keepsZero,
  homogeneous: ofFirst,
  attrs: () => ({}),
  axes: (s) => {
    const x = xDims(s);
    const r = repeats(s);
    if (!x || !r) return unknownRank;
    return `${letters(x, (d) => `a${d}`)}, -> ${letters(x, (d) => (r[d] === 1 ? `a${d}` : `(${r[d]} a${d})`))}`;
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    const r = repeats(s);
    return [{ type, shape: x && (r ? x.map((n, d): Dim => productOf([n, r[d]!])) : ranked(x.length)) }];
  },
  grad: (g, s) => {
    const dims = s.dims(0);
    const r = repeats(s) ?? reject(s.node, "the gradient needs repeats that are known before running");
    if (!s.wanted[0]) return [null];
    const apart = g.reshape(
      s.dy[0]!,
      dims.flatMap((n, d) => [r[d]!, n]),
    );
    return [
      g.reduceSum(
        apart,
        dims.map((_, d) => 2 * d),
      ),
    ];
  },
  // Opset 1 took tiles and axis as two scalars.
  raise: (g, n, opset, s) => {
    if (opset >= 6) return "same";
    const rank = s?.x[0]?.shape?.length;
    const r = s && repeats(s);
    if (!r || rank === undefined) return reject(n, "tiles and axis should be constants");
    g.push(node("Tile", [n.inputs[0]!, g.ints(r)], n.outputs, {}, "", n.name));
    return n.outputs;
  },
  rewrite: "none needed",
  fold: none("not shape arithmetic"),
});
function repeats(s: Site): number[] | null {
  const rank = s.x[0]?.shape?.length;
  if (rank === undefined) return null;
  if (s.opset < 6) {
    const [tiles, axis] = [intsOf(s.value(1)), intsOf(s.value(2))];
    return (
      tiles && axis && Array.from({ length: rank }, (_, d) => (d === axisIn(s.node, axis[0]!, rank) ? tiles[0]! : 1))
    );
  }
  const r = intsOf(s.value(1));
  if (r && (r.length !== rank || r.some((n) => n < 0)))
    reject(s.node, `repeats [${r}] should hold one count for each axis of x ${shown(need(s, 0).shape)}`);
  return r;
}

interface PadAttributes {
  readonly mode: string;
  readonly pads: readonly number[] | null;
  readonly value: number;
}
/** Padding per axis as [before, after]; null where it is computed at run time. Negative pads crop. */
function padsOf(s: Site<PadAttributes>, rank: number): (readonly [number, number])[] | null {
  const pads = s.a.pads ?? intsOf(s.value(1));
  const axes = s.x[3] ? intsOf(s.value(3)) : Array.from({ length: rank }, (_, d) => d);
  if (!pads || !axes) return null;
  if (pads.length !== 2 * axes.length)
    reject(s.node, `pads [${pads}] should hold two counts for each of ${axes.length} axes`);
  const out: (readonly [number, number])[] = Array.from({ length: rank }, () => [0, 0]);
  axes.forEach((a, k) => {
    out[axisIn(s.node, a, rank)] = [pads[k]!, pads[k + axes.length]!];
  });
  return out;
}
/** For each index of the padded axis, the index of x that it repeats (reflect, edge, wrap). */
function sources(mode: string, size: number, [before, after]: readonly [number, number]): number[] {
  const period = mode === "reflect" ? Math.max(1, 2 * (size - 1)) : size;
  return Array.from({ length: size + before + after }, (_, k) => {
    const i = k - before;
    if (mode === "edge") return Math.max(0, Math.min(size - 1, i));
    const turn = ((i % period) + period) % period;
    return turn < size ? turn : period - turn;
  });
}

const fillsZero = (s: Site<PadAttributes>): boolean => {
  if (!s.x[2]) return s.a.value === 0;
  const fill = s.value(2);
  return fill !== null && numbersOf(fill)?.[0] === 0;
};
const Pad = op<PadAttributes>({
  ...common,
  type: "Pad",
  zero: (z, s) => z[0] === true && (s.a.mode !== "constant" || fillsZero(s)),
  homogeneous: (s) => (s.a.mode !== "constant" || fillsZero(s) ? ofFirst : null),
  attrs: (r) => ({
    mode: r.string("mode", "constant"),
    pads: r.opset < 2 ? r.ints("paddings") : r.ints("pads"),
    value: r.float("value", 0),
  }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    const pads = x && padsOf(s, x.length);
    if (!x) return unknownRank;
    const whole = (d: number) => pads && pads[d]![0] === 0 && pads[d]![1] === 0;
    return `${letters(x, (d) => (whole(d) ? `a${d}` : `b${d}!`))} -> ${letters(x, (d) => (whole(d) ? `a${d}` : `c${d}!`))}`;
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    if (!x) return [{ type, shape: null }];
    const pads = padsOf(s, x.length);
    const padded: Shape = x.map((n, d): Dim => {
      if (!pads) return "";
      const more = pads[d]![0] + pads[d]![1];
      if (typeof n !== "number") return more === 0 ? n : "";
      return n + more >= 0
        ? n + more
        : reject(s.node, `pads [${pads[d]}] crop more than x ${shown(x)} has on axis ${d}`);
    });
    return [{ type, shape: padded }];
  },
  grad: (g, s) => {
    const dims = s.dims(0);
    const pads = padsOf(s, dims.length) ?? reject(s.node, "the gradient needs pads that are known before running");
    const [dy] = s.dy;
    if (s.a.mode === "constant") {
      const inside = g.op("Pad", [dy!, g.ints([...pads.map((p) => -p[0]), ...pads.map((p) => -p[1])]), g.scalar(0)]);
      return [inside, null, s.wanted[2] ? outside(g, s, dy!, inside) : null];
    }
    const shape = [...s.outDims(0)];
    let dx = dy!;
    pads.forEach((p, d) => {
      if (p[0] === 0 && p[1] === 0) return;
      shape[d] = dims[d]!;
      dx = unpick(g, dx, shape, d, sources(s.a.mode, dims[d]!, p));
    });
    return [dx];
  },
  raise: (g, n, opset, s) => {
    if (opset >= 11) return "same";
    const { mode, pads, value } = s?.a ?? reject(n, "its attributes are needed");
    const inputs = [n.inputs[0]!, g.ints(pads ?? reject(n, 'attribute "pads" is missing')), g.scalar(value)];
    g.push(node("Pad", inputs, n.outputs, { mode }, "", n.name));
    return n.outputs;
  },
  rewrite: "none needed",
  fold: none("not shape arithmetic"),
});
/** d(fill value): what of dy lies in the padding. */
const outside = (g: Emitter, s: GradientSite, dy: string, inside: string): string => {
  const total = (x: string) => g.op("ReduceSum", [x], { keepdims: 0 });
  return g.reshape(g.op("Sub", [total(dy), total(inside)]), s.dims(2));
};

export const spreads: readonly Operator[] = [Expand, Tile, Pad];
