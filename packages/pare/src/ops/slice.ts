/** Slice, with its bounds as attributes (opset 1-9) or as inputs. */
import { node } from "../graph/emit.js";
import type { Dim, Int } from "../graph/graph.js";
import { axisIn } from "./dims.js";
import { shown } from "./lengths.js";
import { letters, moved, reject, stridesOf, unknownRank, unpick, xDims, yDims } from "./move.js";
import type { AttributeReader, Kept, Operator, Rewrite, Site } from "./record.js";
import { awaits, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

interface SliceAttributes {
  readonly starts: readonly number[] | null;
  readonly ends: readonly number[] | null;
  readonly axes: readonly number[] | null;
}
/** "To the end" is written as INT64_MAX: rounding beyond 2^53 is welcome here. */
const bound = (r: AttributeReader, name: string): readonly number[] | null => {
  const a = r.raw(name);
  return a?.kind === "ints" ? a.value.map((v: Int) => Number(v)) : r.ints(name);
};

/** What is cut along one axis. */
interface Cut {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}
interface Bounds {
  readonly axes: readonly number[];
  readonly cuts: readonly Cut[];
}
/** Bounds as written; null where they are computed at run time. */
function boundsOf(s: Site<SliceAttributes>, rank: number): Bounds | null {
  const starts = s.a.starts ?? intsOf(s.value(1));
  const ends = s.a.ends ?? intsOf(s.value(2));
  const steps = s.x[4] ? intsOf(s.value(4)) : starts?.map(() => 1);
  const axes = axesOf(s, rank);
  if (!starts || !ends || !axes || !steps) return null;
  if (starts.length !== ends.length || axes.length !== starts.length || steps.length !== starts.length)
    reject(s.node, `starts [${starts}], ends [${ends}], axes [${axes}] and steps [${steps}] should be equally long`);
  if (steps.includes(0)) reject(s.node, "a step of 0");
  return { axes, cuts: starts.map((start, k) => ({ start, end: ends[k]!, step: steps[k]! })) };
}
function axesOf(s: Site<SliceAttributes>, rank: number): number[] | null {
  const given = s.a.axes ?? (s.x[3] ? intsOf(s.value(3)) : null);
  if (given) return given.map((a) => axisIn(s.node, a, rank));
  if (s.x[3]) return null;
  const count = s.a.starts?.length ?? s.x[1]?.shape?.[0];
  if (typeof count !== "number") return null;
  if (count > rank) reject(s.node, `${count} bounds for x of rank ${rank}`);
  return Array.from({ length: count }, (_, d) => d);
}
const clamp = (v: number, low: number, high: number): number => Math.max(low, Math.min(high, v));
/** First index and count of a cut of an axis of `size`. */
function resolve({ start, end, step }: Cut, size: number): { first: number; count: number } {
  const from = start < 0 ? start + size : start;
  const to = end < 0 ? end + size : end;
  const first = step > 0 ? clamp(from, 0, size) : clamp(from, 0, size - 1);
  const last = step > 0 ? clamp(to, 0, size) : clamp(to, -1, size - 1);
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}
function length(cut: Cut, size: Dim): Dim {
  if (typeof size === "number") return resolve(cut, size).count;
  return cut.start === 0 && cut.step === 1 && cut.end >= 2 ** 31 - 1 ? size : "";
}
/** The picked indices per axis of x (null: all); null where the bounds are not known. */
function picksOf(s: Site<SliceAttributes>, dims: readonly number[]): (number[] | null)[] | null {
  const b = boundsOf(s, dims.length);
  return (
    b &&
    dims.map((size, d) => {
      const k = b.axes.indexOf(d);
      if (k < 0) return null;
      const { first, count } = resolve(b.cuts[k]!, size);
      return Array.from({ length: count }, (_, i) => first + i * b.cuts[k]!.step);
    })
  );
}

const Slice = op<SliceAttributes>({
  type: "Slice",
  moves: "first",
  zero: keepsZero,
  homogeneous: ofFirst,
  domain: "",
  attrs: (r) => ({ starts: bound(r, "starts"), ends: bound(r, "ends"), axes: r.ints("axes") }),
  axes: (s) => {
    const x = xDims(s);
    const b = x && boundsOf(s, x.length);
    if (!x) return unknownRank;
    const stepped = b?.axes.filter((_, k) => b.cuts[k]!.step !== 1) ?? axesOf(s, x.length) ?? x.map((_, d) => d);
    if (!b || stepped.length > 0) {
      const held = (d: number) => stepped.includes(d) || b?.axes.includes(d);
      return `${letters(x, (d) => (held(d) ? `x${d}!` : `a${d}`))} -> ${letters(x, (d) => (held(d) ? `y${d}!` : `a${d}`))}`;
    }
    return { picks: picksOf(s, x)!.map((indices, from) => ({ from, indices })) };
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    if (!x) return [{ type, shape: null }];
    const b = boundsOf(s, x.length);
    const axes = b?.axes ?? axesOf(s, x.length);
    if (new Set(axes).size !== (axes?.length ?? 0))
      reject(s.node, `axes [${axes}] of x ${shown(x)} name one axis twice`);
    return [
      {
        type,
        shape: x.map((size, d): Dim => {
          const k = axes ? axes.indexOf(d) : 0;
          return k < 0 ? size : b ? length(b.cuts[k]!, size) : "";
        }),
      },
    ];
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null];
    const dims = s.dims(0);
    const picks = picksOf(s, dims) ?? reject(s.node, "the gradient needs bounds that are known before running");
    // One axis after the other: dy grows from y's shape to x's.
    const shape = [...s.outDims(0)];
    let dy = s.dy[0]!;
    picks.forEach((indices, d) => {
      if (!indices) return;
      shape[d] = dims[d]!;
      dy = unpick(g, dy, shape, d, indices);
    });
    return [dy];
  },
  quant: "passes",
  packs: awaits("slice"),
  raise: (g, n, opset, s) => {
    if (opset >= 10 || !s?.a.starts || !s.a.ends) return "same";
    const safe = (v: number) => clamp(v, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const inputs = [n.inputs[0]!, g.ints(s.a.starts.map(safe)), g.ints(s.a.ends.map(safe))];
    if (s.a.axes) inputs.push(g.ints(s.a.axes));
    g.push(node("Slice", inputs, n.outputs, {}, "", n.name));
    return n.outputs;
  },
  rewrite: (s, kept) => rebound(s, kept),
  fold: (s) => {
    const [v, y] = [s.value(0), yDims(s)];
    const picks = v && picksOf(s, v.dims);
    if (!v || !y || !picks) return null;
    const [to, from] = [stridesOf(y), stridesOf(v.dims)];
    return [
      moved(v, y, (k) =>
        y.reduce((i, size, d) => {
          const digit = Math.floor(k / to[d]!) % size;
          return i + (picks[d] ? picks[d][digit]! : digit) * from[d]!;
        }, 0),
      ),
    ];
  },
});

/** Bounds of the axes that were cut, moved to where their indices are now. */
function rebound(s: Site<SliceAttributes>, kept: Kept): Rewrite {
  const x = xDims(s);
  const b = x && boundsOf(s, x.length);
  const [x1, y1] = [kept.x[0], kept.y[0]];
  if (!b || !x || !x1 || !y1) return {};
  const safe = (v: number) => clamp(v, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const now = b.cuts.map((c, k) => {
    const d = b.axes[k]!;
    if (x1[d] === x[d]) return [safe(c.start), safe(c.end)] as const;
    const start = kept.before(0, d, resolve(c, x[d]!).first);
    return [start, start + y1[d]!] as const;
  });
  const [starts, ends] = [now.map((n) => n[0]), now.map((n) => n[1])];
  if (s.a.starts)
    return { attributes: { starts: { kind: "ints", value: starts }, ends: { kind: "ints", value: ends } } };
  const like = (i: number, v: number[]) => tensorOf(s.value(i)!.type, [v.length], v);
  const [one, two] = [like(1, starts), like(2, ends)];
  return one && two ? { inputs: { 1: one, 2: two } } : {};
}

export const slices: readonly Operator[] = [Slice];
