/** Reductions over axes, which are an attribute in old opsets and an input in new ones. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { ElementType, Node } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { gate, spread, times, unreduce } from "./calculus.js";
import { axisIn } from "./dims.js";
import {
  type AttributeReader,
  awaits,
  type GradientSite,
  type None,
  none,
  type Operator,
  ofFirst,
  op,
  type QuantRole,
  type Site,
} from "./record.js";
import { at, need } from "./site.js";
import { intsOf, isInteger, numbersOf, smallElements, tensorOf } from "./values.js";

export interface Reduction {
  readonly keepdims: boolean;
  /** From the attribute; null: from input 1, or all. */
  readonly axes: readonly number[] | null;
  readonly noop: boolean;
}
const reductionOf = (r: AttributeReader): Reduction => ({
  keepdims: r.int("keepdims", 1) !== 0,
  axes: r.ints("axes"),
  noop: r.int("noop_with_empty_axes", 0) !== 0,
});

/** The axes that are reduced, ascending; null where they or the rank are not known. */
export function reducedAxes(s: Site<Reduction>): readonly number[] | null {
  const rank = s.x[0]?.shape?.length;
  if (rank === undefined) return null;
  const given = s.a.axes ?? (s.node.inputs[1] ? intsOf(s.value(1)) : []);
  if (!given) return null;
  if (given.length) return [...new Set(given.map((a) => axisIn(s.node, a, rank)))].sort((a, b) => a - b);
  return s.a.noop ? [] : Array.from({ length: rank }, (_, d) => d);
}

function reducedShape(s: Site<Reduction>) {
  const x = need(s, 0);
  const axes = reducedAxes(s);
  if (!x.shape) return null;
  if (!axes) return s.a.keepdims ? x.shape.map(() => "") : null;
  return x.shape.flatMap((d, i) => (!axes.includes(i) ? [d] : s.a.keepdims ? [1] : []));
}

function reducedLetters(s: Site<Reduction>, mark: "" | "~") {
  const axes = reducedAxes(s);
  const x = need(s, 0).shape;
  if (!axes || !x) return none("the axes are not known before running");
  const left = x.map((_, d) => `a${d}x${axes.includes(d) ? mark : ""}`);
  const right = x.flatMap((_, d) => (!axes.includes(d) ? [`a${d}x`] : s.a.keepdims ? ["1"] : []));
  return `${left.join(" ")}, -> ${right.join(" ")}`;
}

/** What a reduction's formula sees: y and dy with the reduced axes as length 1, ready to broadcast against x. */
interface ReductionFlow {
  readonly x: string;
  readonly y: string;
  readonly dy: string;
  readonly dims: readonly number[];
  readonly axes: readonly number[];
  /** Elements per output. */
  readonly count: number;
}
interface ReductionSpec {
  /** "~": zero is not the same as absent. */
  readonly mark: "" | "~";
  readonly grad: (g: Emitter, f: ReductionFlow) => string;
  readonly quant: QuantRole;
  readonly fold: ((values: readonly number[]) => number) | None;
  readonly exactFor?: "integers";
  readonly homogeneous?: true;
}

function reduction(type: string, spec: ReductionSpec): Operator {
  const { fold } = spec;
  return op<Reduction>({
    type,
    domain: "",
    attrs: reductionOf,
    axes: (s) => reducedLetters(s, spec.mark),
    zero: (z) => z[0] === true && !type.startsWith("ReduceLog"),
    ...(spec.homogeneous ? { homogeneous: ofFirst } : {}),
    shape: (s) => [{ type: need(s, 0).type, shape: reducedShape(s) }],
    grad: (g, s) => {
      const nothing = s.inputs.map(() => null);
      if (!s.wanted[0] || !s.dy[0]) return nothing;
      return [spec.grad(g, flowOf(g, s, s.dy[0])), ...nothing.slice(1)];
    },
    quant: spec.quant,
    packs: awaits("reduce"),
    raise: raiseAxes,
    rewrite: "none needed",
    fold: typeof fold === "function" ? (s) => foldReduction(s, fold, spec.exactFor === "integers") : fold,
  });
}

function flowOf(g: Emitter, s: GradientSite<Reduction>, dy: string): ReductionFlow {
  const axes = reducedAxes(s);
  if (!axes) throw new PareError(`${at(s.node)}: its gradient needs axes that are known before running`);
  const dims = s.dims(0);
  const back = (v: string) => (s.a.keepdims || !axes.length ? v : unreduce(g, v, dims, axes));
  return {
    x: s.inputs[0]!,
    get y() {
      return back(s.outputs[0]!);
    },
    dy: back(dy),
    dims,
    axes,
    count: sizeOf(axes.map((a) => dims[a]!)),
  };
}

/** Opset 18's form (ReduceSum: 13's): axes as an input. */
function raiseAxes(g: Emitter, node: Node, opset: number, _: unknown, to: number): readonly string[] | "same" {
  const since = node.op === "ReduceSum" ? 13 : 18;
  const axes = node.attributes.axes;
  if (opset >= since || to < since || axes?.kind !== "ints") return "same";
  const { axes: _axes, ...attributes } = node.attributes;
  g.push({ ...node, inputs: [node.inputs[0]!, g.ints(axes.value)], attributes });
  return node.outputs;
}

function foldReduction(s: Site<Reduction>, f: (values: readonly number[]) => number, integersOnly: boolean) {
  const x = s.value(0);
  // A sum or product of floats depends on the kernel's order.
  if (x && integersOnly && !isInteger(x.type)) return null;
  const axes = x ? reducedAxes({ ...s, x: [{ type: x.type, shape: x.dims }, ...s.x.slice(1)] }) : null;
  const values = x && sizeOf(x.dims) <= smallElements ? numbersOf(x) : null;
  if (!x || !axes || !values) return null;
  const groups = new Map<number, number[]>();
  const strides = x.dims.map((_, d) => sizeOf(x.dims.slice(d + 1)));
  const keptDims = x.dims.map((d, i) => (axes.includes(i) ? 1 : d));
  values.forEach((v, k) => {
    const to = x.dims.reduce((at, d, i) => {
      const digit = axes.includes(i) ? 0 : Math.floor(k / strides[i]!) % d;
      return at * keptDims[i]! + digit;
    }, 0);
    const group = groups.get(to);
    if (group) group.push(v);
    else groups.set(to, [v]);
  });
  const dims = x.dims.flatMap((d, i) => (!axes.includes(i) ? [d] : s.a.keepdims ? [1] : []));
  const out = Array.from({ length: sizeOf(dims) }, (_, k) => f(groups.get(k) ?? []));
  return [tensorOf(x.type, dims, out)];
}

const rounding = none("its rounding depends on the kernel's order, so onnxruntime folds it");
const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);

/** Where x reaches the extreme; elements that tie share the gradient. */
const atExtreme = (g: Emitter, { x, y, dy, axes }: ReductionFlow): string => {
  const hits = g.cast(g.op("Equal", [x, y]), g.floatType);
  const count = axes.length ? g.reduceSum(hits, axes, true) : hits;
  return mul(g, hits, g.op("Div", [dy, count]));
};

/** y / x, and where zeros stand in a product, the product of the others. */
const productGradient = (g: Emitter, { x, dy, axes }: ReductionFlow): string => {
  if (!axes.length) return dy;
  const zero = g.op("Equal", [x, g.scalar(0)]);
  const filled = g.op("Where", [zero, g.scalar(1), x]);
  const product = g.op("ReduceProd", [filled, g.ints(axes)], { keepdims: 1 });
  const isZero = g.cast(zero, g.floatType);
  const others = g.op("Sub", [g.reduceSum(isZero, axes, true), isZero]);
  return gate(g, g.op("Equal", [others, g.scalar(0)]), mul(g, dy, g.op("Div", [product, filled])));
};

export const reductions: readonly Operator[] = [
  reduction("ReduceSum", {
    homogeneous: true,
    mark: "",
    grad: (g, f) => spread(g, f.dy, f.dims),
    quant: "arithmetic",
    fold: (v) => v.reduce((p, x) => p + x, 0),
    exactFor: "integers",
  }),
  reduction("ReduceMean", {
    homogeneous: true,
    mark: "~",
    grad: (g, f) => spread(g, times(g, f.dy, 1 / f.count), f.dims),
    quant: "arithmetic",
    fold: rounding,
  }),
  reduction("ReduceMax", {
    homogeneous: true,
    mark: "~",
    grad: atExtreme,
    quant: "passes",
    fold: (v) => Math.max(...v),
  }),
  reduction("ReduceMin", {
    homogeneous: true,
    mark: "~",
    grad: atExtreme,
    quant: "passes",
    fold: (v) => Math.min(...v),
  }),
  reduction("ReduceProd", {
    mark: "~",
    grad: productGradient,
    quant: "arithmetic",
    fold: (v) => v.reduce((p, x) => p * x, 1),
    exactFor: "integers",
  }),
  reduction("ReduceSumSquare", {
    mark: "",
    grad: (g, f) => mul(g, f.x, times(g, f.dy, 2)),
    quant: "arithmetic",
    fold: rounding,
  }),
  reduction("ReduceL1", {
    homogeneous: true,
    mark: "",
    grad: (g, f) => mul(g, g.op("Sign", [f.x]), f.dy),
    quant: "arithmetic",
    fold: rounding,
  }),
  reduction("ReduceL2", {
    homogeneous: true,
    mark: "",
    // A vector of zeros has norm 0 and no gradient: dividing by 1 there keeps 0.
    grad: (g, f) => {
      const { y } = f;
      return mul(g, f.x, g.op("Div", [f.dy, g.op("Where", [g.op("Equal", [y, g.scalar(0)]), g.scalar(1), y])]));
    },
    quant: "arithmetic",
    fold: rounding,
  }),
  reduction("ReduceLogSum", {
    mark: "",
    grad: (g, f) => spread(g, mul(g, f.dy, g.op("Exp", [g.op("Neg", [f.y])])), f.dims),
    quant: "arithmetic",
    fold: rounding,
  }),
  reduction("ReduceLogSumExp", {
    mark: "~",
    grad: (g, f) => mul(g, f.dy, g.op("Exp", [g.op("Sub", [f.x, f.y])])),
    quant: "arithmetic",
    fold: rounding,
  }),
];

/** ArgMax, ArgMin: one axis, integer output. */
const argExtreme = (type: "ArgMax" | "ArgMin"): Operator =>
  op<Reduction>({
    type,
    domain: "",
    attrs: (r) => ({ keepdims: r.int("keepdims", 1) !== 0, axes: [r.int("axis", 0)], noop: false }),
    axes: (s) => {
      const letters = reducedLetters(s, "");
      const axis = reducedAxes(s)?.[0];
      return typeof letters === "string" ? letters.replace(`a${axis}x`, `a${axis}x!`) : letters;
    },
    shape: (s) => [{ type: "int64" as ElementType, shape: reducedShape(s) }],
    grad: none("its output is an index"),
    quant: none("its output is an index"),
    packs: awaits(type.toLowerCase()),
    raise: "same",
    rewrite: "none needed",
    fold: none("no shape arithmetic uses it"),
  });

export const extremeIndices: readonly Operator[] = [argExtreme("ArgMax"), argExtreme("ArgMin")];
