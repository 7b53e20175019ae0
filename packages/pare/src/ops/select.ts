/** Operators that choose or mark positions: OneHot, TopK, NonZero, NonMaxSuppression, Trilu. */
import { node } from "../graph/emit.js";
import type { Dim, Shape } from "../graph/graph.js";
import { zeros } from "./calculus.js";
import { axisIn } from "./dims.js";
import { shown } from "./lengths.js";
import { letters, reject, unknownRank } from "./move.js";
import type { Operator, Site } from "./record.js";
import { awaits, none, op } from "./record.js";
import { need } from "./site.js";
import { numbersOf } from "./values.js";
import { keepsZero } from "./zero.js";

const common = {
  domain: "",
  packs: awaits("select"),
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};
const oneNumber = (s: Site, i: number): number | null => {
  const value = s.value(i);
  return (value && numbersOf(value)?.[0]) ?? null;
};
const positions = none("it yields positions, and those are no function with a slope");

const OneHot = op<{ axis: number }>({
  ...common,
  type: "OneHot",
  attrs: (r) => ({ axis: r.int("axis", -1) }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    if (!x) return unknownRank;
    const axis = axisIn(s.node, s.a.axis, x.length + 1);
    const out = x.map((_, d) => `a${d}`);
    return `${letters(x, (d) => `a${d}`)}, , -> ${[...out.slice(0, axis), "v!", ...out.slice(axis)].join(" ")}`;
  },
  shape: (s) => {
    const { type } = need(s, 2);
    const x = need(s, 0).shape;
    if (!x) return [{ type, shape: null }];
    const axis = axisIn(s.node, s.a.axis, x.length + 1);
    const depth: Dim = oneNumber(s, 1) ?? "";
    if (typeof depth === "number" && !(depth >= 1)) reject(s.node, `depth is ${depth}, should be at least 1`);
    return [
      { type, shape: [...x.slice(0, axis), typeof depth === "number" ? Math.trunc(depth) : "", ...x.slice(axis)] },
    ];
  },
  grad: none("its inputs are indices and two constants"),
  quant: none("its values are two constants"),
});

interface TopKAttributes {
  readonly axis: number;
  readonly k: number | null;
}
const TopK = op<TopKAttributes>({
  ...common,
  type: "TopK",
  zero: keepsZero,
  attrs: (r) => ({ axis: r.int("axis", -1), k: r.has("k") ? r.int("k") : null }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    if (!x) return unknownRank;
    const axis = axisIn(s.node, s.a.axis, x.length);
    const out = letters(x, (d) => (d === axis ? "t!" : `a${d}`));
    return `${letters(x, (d) => (d === axis ? "k!" : `a${d}`))}, -> ${out}, ${out}`;
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    const k = s.a.k ?? oneNumber(s, 1);
    const axis = x && axisIn(s.node, s.a.axis, x.length);
    if (x && k !== null && typeof x[axis!] === "number" && (k < 0 || k > (x[axis!] as number)))
      reject(s.node, `k is ${k}, axis ${axis} of x ${shown(x)} holds ${x[axis!]}`);
    const shape: Shape | null = x?.map((n, d) => (d === axis ? (k ?? "") : n)) ?? null;
    return [
      { type, shape },
      { type: "int64", shape },
    ];
  },
  grad: (g, s) => {
    if (!s.wanted[0] || !s.dy[0]) return [null, null];
    const index = s.outputs[1] || reject(s.node, "the gradient needs its second output, Indices");
    const blank = zeros(g, s.dims(0));
    return [g.op("ScatterElements", [blank, index, s.dy[0]], { axis: s.a.axis }), null];
  },
  quant: "passes",
  raise: (g, n, opset, s) => {
    if (opset >= 10) return "same";
    const k = s?.a.k ?? reject(n, 'attribute "k" is missing');
    g.push(node("TopK", [n.inputs[0]!, g.ints([k])], n.outputs, { axis: s?.a.axis ?? -1 }, "", n.name));
    return n.outputs;
  },
});

const NonZero = op({
  ...common,
  type: "NonZero",
  attrs: () => ({}),
  axes: none("its output is a list of positions"),
  shape: (s) => {
    const x = need(s, 0).shape;
    return [{ type: "int64", shape: [x ? x.length : "", ""] }];
  },
  grad: positions,
  quant: none("its output is a list of positions"),
});

const NonMaxSuppression = op({
  ...common,
  type: "NonMaxSuppression",
  attrs: () => ({}),
  axes: none("its output is a list of positions"),
  shape: (s) => {
    const boxes = need(s, 0).shape;
    if (boxes && boxes.length !== 3) reject(s.node, `boxes ${shown(boxes)} should be [batch, boxes, 4]`);
    return [{ type: "int64", shape: ["", 3] }];
  },
  grad: positions,
  quant: none("its output is a list of positions"),
});

/** Keeps one triangle of the last two axes. */
const Trilu = op<{ upper: number }>({
  ...common,
  type: "Trilu",
  zero: keepsZero,
  attrs: (r) => ({ upper: r.int("upper", 1) }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    if (!x) return unknownRank;
    const text = letters(x, (d) => `a${d}${d >= x.length - 2 ? "!" : ""}`);
    return `${text}, -> ${text}`;
  },
  shape: (s) => {
    const x = need(s, 0);
    if (x.shape && x.shape.length < 2) reject(s.node, `x ${shown(x.shape)} should hold matrices`);
    return [{ type: x.type, shape: x.shape }];
  },
  grad: (g, s) => [s.wanted[0] ? g.op("Trilu", [s.dy[0]!, ...s.inputs.slice(1, 2)], { upper: s.a.upper }) : null, null],
  quant: "passes",
});

export const selections: readonly Operator[] = [OneHot, TopK, NonZero, NonMaxSuppression, Trilu];
