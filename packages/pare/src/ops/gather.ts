/** Operators that look elements up by index: Gather, GatherElements, GatherND. */
import type { Dim, ElementType, Shape } from "../graph/graph.js";
import { zeros } from "./calculus.js";
import { axisIn } from "./dims.js";
import { shown } from "./lengths.js";
import { letters, moved, reject, scatterAdd, stridesOf, unknownRank, unpick, xDims, yDims } from "./move.js";
import type { Kept, Operator, Rewrite, Site } from "./record.js";
import { awaits, none, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

const common = {
  domain: "",
  quant: "passes" as const,
  packs: awaits("gather"),
  raise: "same" as const,
};
const indexTypes: readonly ElementType[] = ["int32", "int64"];
/** Constant indices 0..size-1; null where they are computed. Throws where one is out of range. */
function indicesOf(s: Site<{ axis: number }>, size: number): number[] | null {
  const given = indexTypes.includes(s.x[1]?.type ?? "undefined") ? intsOf(s.value(1)) : null;
  return (
    given?.map((i) =>
      i >= -size && i < size ? (i < 0 ? i + size : i) : reject(s.node, `index ${i} into an axis of ${size}`),
    ) ?? null
  );
}

const Gather = op<{ axis: number }>({
  ...common,
  type: "Gather",
  moves: "first",
  zero: keepsZero,
  homogeneous: ofFirst,
  attrs: (r) => ({ axis: r.int("axis", 0) }),
  axes: (s) => {
    const x = xDims(s);
    const rank = s.x[1]?.shape?.length;
    if (!x || rank === undefined) return unknownRank;
    const axis = axisIn(s.node, s.a.axis, x.length);
    const picked = rank < 2 ? indicesOf(s, x[axis]!) : null;
    if (picked) {
      const picks = x.map((_, from) =>
        from === axis ? { from, indices: picked, dropped: rank === 0 } : { from, indices: null },
      );
      return { picks };
    }
    // Looked up by data: which index comes is not known, so every entry stays.
    const index = letters({ length: rank }, (d) => `i${d}`);
    return `${letters(x, (d) => (d === axis ? "v!" : `a${d}`))}, ${index} -> ${letters(x, (d) => (d === axis ? index : `a${d}`))}`;
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    const index = need(s, 1).shape;
    if (!x || !index) return [{ type, shape: null }];
    const axis = axisIn(s.node, s.a.axis, x.length);
    if (typeof x[axis] === "number" && s.value(1)) indicesOf(s, x[axis]);
    return [{ type, shape: [...x.slice(0, axis), ...index, ...x.slice(axis + 1)] }];
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null, null];
    const dims = s.dims(0);
    const axis = axisIn(s.node, s.a.axis, dims.length);
    const index = s.dims(1);
    const picked = indicesOf(s, dims[axis]!);
    const dy = s.dy[0]!;
    if (picked && new Set(picked).size === picked.length) {
      const flat = dims.map((d, i) => (i === axis ? picked.length : d));
      return [unpick(g, index.length === 1 ? dy : g.reshape(dy, flat), dims, axis, picked), null];
    }
    return [scatterAdd(g, dy, dims, axis, g.reshape(s.inputs[1]!, [...index, 1]), index.length), null];
  },
  rewrite: (s, kept) => reindex(s, kept),
  fold: (s) => {
    const [v, y] = [s.value(0), yDims(s)];
    if (!v || !y) return null;
    const axis = axisIn(s.node, s.a.axis, v.dims.length);
    const picked = indicesOf(s, v.dims[axis]!);
    if (!picked) return null;
    const inner = stridesOf(v.dims)[axis]!;
    const slab = picked.length * inner;
    return [
      moved(
        v,
        y,
        (k) => (Math.floor(k / slab) * v.dims[axis]! + picked[Math.floor((k % slab) / inner)]!) * inner + (k % inner),
      ),
    ];
  },
});

/** The constant indices that survive, at the places where their entries are now. */
function reindex(s: Site<{ axis: number }>, kept: Kept): Rewrite {
  const x = xDims(s);
  const rank = s.x[1]?.shape?.length ?? 2;
  if (!x || rank > 1) return {};
  const axis = axisIn(s.node, s.a.axis, x.length);
  const picked = indicesOf(s, x[axis]!);
  if (!picked || kept.x[0]?.[axis] === x[axis]) return {};
  const values = picked.filter((i) => kept.has(0, axis, i)).map((i) => kept.before(0, axis, i));
  const indices = tensorOf(s.x[1]!.type, rank === 0 ? [] : [values.length], values);
  return indices ? { inputs: { 1: indices } } : {};
}

const byData = none("its entries are picked by data, so none may go");
const untouched = { axes: byData, rewrite: "none needed" as const, fold: none("not shape arithmetic") };

const GatherElements = op<{ axis: number }>({
  ...common,
  ...untouched,
  type: "GatherElements",
  attrs: (r) => ({ axis: r.int("axis", 0) }),
  shape: (s) => {
    const [{ type, shape: x }, { shape: index }] = [need(s, 0), need(s, 1)];
    if (x && index && x.length !== index.length)
      reject(s.node, `x ${shown(x)} and indices ${shown(index)} should have one rank`);
    if (x) axisIn(s.node, s.a.axis, x.length);
    return [{ type, shape: index }];
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null, null];
    const blank = zeros(g, s.dims(0));
    return [g.op("ScatterElements", [blank, s.inputs[1]!, s.dy[0]!], { axis: s.a.axis, reduction: "add" }), null];
  },
});

/** indices [b.., i.., k] into x [b.., k axes, rest..] -> [b.., i.., rest..]. */
const GatherND = op<{ batch: number }>({
  ...common,
  ...untouched,
  type: "GatherND",
  attrs: (r) => ({ batch: r.int("batch_dims", 0) }),
  shape: (s) => {
    const [{ type, shape: x }, { shape: index }] = [need(s, 0), need(s, 1)];
    const depth: Dim | undefined = index?.at(-1);
    if (!x || !index || typeof depth !== "number") return [{ type, shape: null }];
    if (depth < 1 || s.a.batch < 0 || s.a.batch + depth > x.length)
      reject(s.node, `indices ${shown(index)} with batch_dims ${s.a.batch} reach past x ${shown(x)}`);
    const out: Shape = [...index.slice(0, -1), ...x.slice(s.a.batch + depth)];
    return [{ type, shape: out }];
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null, null];
    const dims = s.dims(0);
    const { batch } = s.a;
    if (batch === 0) return [g.op("ScatterND", [zeros(g, dims), s.inputs[1]!, s.dy[0]!], { reduction: "add" }), null];
    // ScatterND has no batch axes: their own index leads the picked one.
    const index = s.dims(1);
    const lead = index.slice(0, -1);
    const own = lead.slice(0, batch).map((_, d) => {
      const strides = stridesOf(lead);
      const count = lead.reduce((p, n) => p * n, 1);
      const digits = Array.from({ length: count }, (_, k) => Math.floor(k / strides[d]!) % lead[d]!);
      return g.constant(tensorOf("int64", [...lead, 1], digits)!);
    });
    const full = g.op("Concat", [...own, s.inputs[1]!], { axis: lead.length });
    return [g.op("ScatterND", [zeros(g, dims), full, s.dy[0]!], { reduction: "add" }), null];
  },
});

export const gathers: readonly Operator[] = [Gather, GatherElements, GatherND];
