/** Operators that regroup the same elements in the same order: Reshape, Flatten, Squeeze, Unsqueeze. */
import type { Emitter } from "../graph/emit.js";
import { node } from "../graph/emit.js";
import type { Dim, Node, Shape, ValueType } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { axisIn, isFixed } from "./dims.js";
import { productOf, quotientOf, ranked, shown } from "./lengths.js";
import { letters, moved, reject, unknownRank, xDims, yDims } from "./move.js";
import type { AxesSpec, GradientSite, Kept, None, Operator, Rewrite, Site } from "./record.js";
import { awaits, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

/** The axes as the common refinement of both shapes, read off their running products. */
export function regroup(s: Site): AxesSpec | None {
  const [x, y] = [xDims(s), yDims(s)];
  if (!x || !y) return unknownRank;
  const held = { text: `${letters(x, (d) => `x${d}!`)} -> ${letters(y, (d) => `y${d}!`)}` };
  if (x.includes(0) || sizeOf(x) !== sizeOf(y)) return held;
  const left: string[][] = x.map(() => []);
  const right: string[][] = y.map(() => []);
  const sizes: Record<string, number> = {};
  let [i, j, a, b] = [0, 0, x[0] ?? 1, y[0] ?? 1];
  while (i < x.length && j < y.length) {
    if (a === 1) a = x[++i] ?? 1;
    else if (b === 1) b = y[++j] ?? 1;
    else {
      const f = Math.min(a, b);
      if (a % f || b % f) return held;
      const letter = `r${Object.keys(sizes).length}`;
      sizes[letter] = f;
      left[i]!.push(letter);
      right[j]!.push(letter);
      a /= f;
      b /= f;
    }
  }
  const text = (side: readonly string[][]) =>
    side.map((l) => (l.length === 0 ? "1" : l.length === 1 ? l[0] : `(${l.join(" ")})`)).join(" ");
  return { text: `${text(left)} -> ${text(right)}`, sizes };
}

const sameElements = {
  axes: regroup,
  zero: keepsZero,
  homogeneous: ofFirst,
  moves: "first" as const,
  grad: (g: Emitter, s: GradientSite) => [s.wanted[0] ? g.reshape(s.dy[0]!, s.dims(0)) : null],
  quant: "passes" as const,
  packs: awaits("reshape"),
  rewrite: "none needed" as const,
  fold: (s: Site) => {
    const [v, y] = [s.value(0), yDims(s)];
    return v && y ? [moved(v, y, (k) => k)] : null;
  },
};

/** Resolves 0 (copy) and -1 (what is left) of a Reshape target. Throws where the element counts differ. */
function target(s: Site, wanted: Shape, allowzero: boolean): Shape {
  const x = need(s, 0).shape;
  const bad = wanted.find((t) => typeof t === "number" && (t < -1 || !Number.isInteger(t)));
  if (bad !== undefined || wanted.filter((t) => t === -1).length > 1)
    reject(s.node, `shape [${wanted}] should hold lengths, 0 and at most one -1`);
  const dims = wanted.map((t, d): Dim => {
    if (t !== 0 || allowzero) return t;
    if (x && d >= x.length) reject(s.node, `shape [${wanted}] copies axis ${d}, x ${shown(x)} has none`);
    return x?.[d] ?? "";
  });
  const open = dims.indexOf(-1);
  if (!x) return dims.map((d) => (d === -1 ? "" : d));
  const rest = quotientOf(
    x,
    dims.filter((_, d) => d !== open),
  );
  if (rest === null || (open < 0 && isFixed(x) && isFixed(dims) && rest !== 1 && sizeOf(x) !== sizeOf(dims)))
    reject(s.node, `x ${shown(x)} has ${productOf(x)} elements and cannot become [${wanted}]`);
  return dims.map((d, i) => (i === open ? rest : d));
}

interface ReshapeAttributes {
  readonly allowzero: boolean;
  readonly shape: readonly number[] | null;
}
const Reshape = op<ReshapeAttributes>({
  ...sameElements,
  type: "Reshape",
  keeps: 0,
  domain: "",
  attrs: (r) => ({ allowzero: r.int("allowzero", 0) === 1, shape: r.ints("shape") }),
  grad: (g, s) => [s.wanted[0] ? g.reshape(s.dy[0]!, s.dims(0)) : null, null],
  shape: (s) => {
    const wanted = s.a.shape ?? intsOf(s.value(1)) ?? s.lengths?.(1);
    return [{ type: need(s, 0).type, shape: wanted ? target(s, wanted, s.a.allowzero) : ranked(s.x[1]?.shape?.[0]) }];
  },
  raise: (g, n, opset, s) => {
    if (opset >= 5) return "same";
    const wanted = s?.a.shape ?? reject(n, 'attribute "shape" is missing');
    g.push(node("Reshape", [n.inputs[0]!, g.ints(wanted)], n.outputs, {}, "", n.name));
    return n.outputs;
  },
  rewrite: (s, kept) => retarget(s, kept),
});

/** The target with every element replaced that the cut made stale; -1, and 0 where it still copies right, stay. */
function retarget(s: Site<ReshapeAttributes>, kept: Kept): Rewrite {
  const old = s.a.shape ?? intsOf(s.value(1));
  const [y, x] = [kept.y[0], kept.x[0]];
  const [y0, x0] = [yDims(s), xDims(s)];
  if (!old || !y || !x || !y0 || !x0) return {};
  const values = old.map((t, d) => {
    if (t === -1 || y[d] === y0[d]) return t === 0 && x[d] !== x0[d] ? y[d]! : t;
    return t === 0 && x[d] === y[d] ? 0 : y[d]!;
  });
  if (s.a.shape) return { attributes: { shape: { kind: "ints", value: values } } };
  return { inputs: { 1: tensorOf("int64", [values.length], values)! } };
}

const Flatten = op<{ axis: number }>({
  ...sameElements,
  type: "Flatten",
  domain: "",
  attrs: (r) => ({ axis: r.int("axis", 1) }),
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    if (!x) return [{ type, shape: ["", ""] }];
    const axis = s.a.axis === x.length ? s.a.axis : axisIn(s.node, s.a.axis, x.length);
    return [{ type, shape: [productOf(x.slice(0, axis)), productOf(x.slice(axis))] }];
  },
  raise: "same",
});

interface AxesAttribute {
  readonly axes: readonly number[] | null;
}
/** Squeeze and Unsqueeze moved `axes` from an attribute to an input at opset 13. */
const movable = (type: string, shape: (s: Site, axes: readonly number[] | null) => ValueType): Operator =>
  op<AxesAttribute>({
    ...sameElements,
    type,
    domain: "",
    attrs: (r) => ({ axes: r.ints("axes") }),
    grad: (g, s) => [s.wanted[0] ? g.reshape(s.dy[0]!, s.dims(0)) : null, null],
    shape: (s) => [shape(s, s.a.axes ?? intsOf(s.value(1)))],
    raise: (g: Emitter, n: Node, opset: number, s: Site<AxesAttribute> | null) => {
      if (opset >= 13 || !s?.a.axes) return "same";
      g.push(node(type, [n.inputs[0]!, g.ints(s.a.axes)], n.outputs, {}, "", n.name));
      return n.outputs;
    },
  });

const Squeeze = movable("Squeeze", (s, given) => {
  const { type, shape: x } = need(s, 0);
  if (!x) return { type, shape: null };
  if (!given && s.x[1]) {
    const count = s.x[1].shape?.[0];
    return { type, shape: typeof count === "number" ? ranked(x.length - count) : null };
  }
  if (!given && x.some((d) => typeof d !== "number")) return { type, shape: null };
  const axes = given?.map((a) => axisIn(s.node, a, x.length)) ?? x.flatMap((d, i) => (d === 1 ? [i] : []));
  const wide = axes.find((a) => typeof x[a] === "number" && x[a] !== 1);
  if (wide !== undefined) reject(s.node, `axis ${wide} of x ${shown(x)} has length ${x[wide]}, not 1`);
  return { type, shape: x.filter((_, d) => !axes.includes(d)) };
});

const Unsqueeze = movable("Unsqueeze", (s, given) => {
  const { type, shape: x } = need(s, 0);
  if (!x) return { type, shape: null };
  if (!given) {
    const count = s.x[1]?.shape?.length === 0 ? 1 : s.x[1]?.shape?.[0];
    return { type, shape: typeof count === "number" ? ranked(x.length + count) : null };
  }
  const rank = x.length + given.length;
  const axes = new Set(given.map((a) => axisIn(s.node, a, rank)));
  if (axes.size !== given.length) reject(s.node, `axes [${given}] name one axis twice`);
  const old = [...x];
  return { type, shape: Array.from({ length: rank }, (_, d) => (axes.has(d) ? 1 : old.shift()!)) };
});

export const reshapes: readonly Operator[] = [Reshape, Flatten, Squeeze, Unsqueeze];
