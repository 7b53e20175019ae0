/** Normalisation without learned parameters: across channels (LRN), by a p-norm, by mean and deviation. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { times } from "./calculus.js";
import { axisIn } from "./dims.js";
import { inexact } from "./elementwise.js";
import { meanOver } from "./normalizations.js";
import { awaits, type GradientSite, type Operator, op, type Site } from "./record.js";
import { at, need } from "./site.js";
import { keepsZero } from "./zero.js";

const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);

interface Lrn {
  readonly alpha: number;
  readonly beta: number;
  readonly bias: number;
  readonly size: number;
}
/** x [n c s...]: y = x (bias + alpha / size * sum over `size` neighbouring channels of x^2)^-beta. */
const lrn = op<Lrn>({
  type: "LRN",
  zero: keepsZero,
  domain: "",
  attrs: (r) => ({
    alpha: r.float("alpha", 1e-4),
    beta: r.float("beta", 0.75),
    bias: r.float("bias", 1),
    size: r.int("size"),
  }),
  axes: "n c! s... -> n c! s...",
  shape: (s) => [need(s, 0)],
  grad: (g, s) => [s.wanted[0] && s.dy[0] ? lrnGradient(g, s, s.dy[0]) : null],
  quant: "arithmetic",
  packs: awaits("lrn"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});
function lrnGradient(g: Emitter, s: GradientSite<Lrn>, dy: string): string {
  const { alpha, beta, bias, size } = s.a;
  const dims = s.dims(0);
  const [n, c] = dims as [number, number];
  const flat = [n, c, -1];
  const [x, d] = [g.reshape(s.inputs[0]!, flat), g.reshape(dy, flat)];
  const before = Math.floor((size - 1) / 2);
  // Row i of the band sums the window of channel i; its transpose hands back what each channel gave.
  const one = g.scalar(1);
  const rows = g.op("Range", [g.scalar(0), g.scalar(c), one]);
  const offset = g.op("Sub", [rows, g.reshape(rows, [c, 1])]);
  const inside = g.op("And", [
    g.op("Greater", [offset, g.scalar(-before - 0.5)]),
    g.op("Less", [offset, g.scalar(size - 1 - before + 0.5)]),
  ]);
  const band = g.cast(inside, g.floatType);
  const base = g.op("Add", [times(g, g.op("MatMul", [band, mul(g, x, x)]), alpha / size), g.scalar(bias)]);
  const direct = mul(g, d, g.op("Pow", [base, g.scalar(-beta)]));
  const weight = mul(g, mul(g, d, x), g.op("Pow", [base, g.scalar(-beta - 1)]));
  const back = g.op("MatMul", [g.transpose(band, [1, 0]), weight]);
  return g.reshape(g.op("Sub", [direct, mul(g, times(g, x, (2 * alpha * beta) / size), back)]), dims);
}

interface LpNorm {
  readonly axis: number;
  readonly p: number;
}
const lpNormalization = op<LpNorm>({
  type: "LpNormalization",
  domain: "",
  attrs: (r) => {
    const p = r.int("p", 2);
    if (p !== 1 && p !== 2) throw new PareError(`${at(r.node)}: p is ${p}; ONNX knows 1 and 2`);
    return { axis: r.int("axis", -1), p };
  },
  axes: (s) => {
    const shape = need(s, 0).shape;
    if (!shape) return "a~... -> a...";
    // A norm counts zeros as nothing: removing them changes nothing.
    axisIn(s.node, s.a.axis, shape.length);
    return "a... -> a...";
  },
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy || !s.wanted[0]) return [null];
    const [x, y] = [s.inputs[0]!, s.outputs[0]!];
    const axes = g.ints([axisIn(s.node, s.a.axis, s.dims(0).length)]);
    const norm = g.op(s.a.p === 1 ? "ReduceL1" : "ReduceL2", [x, axes], { keepdims: 1 });
    // Vectors of zeros stay zeros: dividing by 1 there gives them no gradient worth the name, as in onnxruntime.
    const safe = g.op("Where", [g.op("Equal", [norm, g.scalar(0)]), g.scalar(1), norm]);
    const along = g.op("ReduceSum", [mul(g, dy, y), axes], { keepdims: 1 });
    const direction = s.a.p === 1 ? g.op("Sign", [x]) : y;
    return [g.op("Div", [g.op("Sub", [dy, mul(g, direction, along)]), safe])];
  },
  quant: "arithmetic",
  packs: awaits("lp-normalization"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});

interface MeanVariance {
  readonly axes: readonly number[];
}
const overAxes = (s: Site<MeanVariance>, rank: number): number[] => s.a.axes.map((a) => axisIn(s.node, a, rank));
/** y = (x - mean) / (deviation + 1e-9) over the given axes. */
const meanVariance = op<MeanVariance>({
  type: "MeanVarianceNormalization",
  domain: "",
  attrs: (r) => ({ axes: r.ints("axes", [0, 2, 3]) }),
  axes: (s) => {
    const shape = need(s, 0).shape;
    if (!shape) return "a~... -> a...";
    const over = overAxes(s, shape.length);
    const letters = shape.map((_, d) => `a${d}x`);
    return `${letters.map((l, d) => (over.includes(d) ? `${l}~` : l)).join(" ")} -> ${letters.join(" ")}`;
  },
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy || !s.wanted[0]) return [null];
    const axes = overAxes(s, s.dims(0).length);
    const centred = g.op("Sub", [s.inputs[0]!, meanOver(g, s.inputs[0]!, axes)]);
    const deviation = g.op("Sqrt", [meanOver(g, mul(g, centred, centred), axes)]);
    const divisor = g.op("Add", [deviation, g.scalar(1e-9)]);
    // d(1 / divisor)/dx takes back (dy . y) along the direction in which the deviation grows.
    const along = meanOver(g, mul(g, dy, s.outputs[0]!), axes);
    const flat = g.op("Sub", [dy, meanOver(g, dy, axes)]);
    return [g.op("Div", [g.op("Sub", [flat, mul(g, g.op("Div", [centred, deviation]), along)]), divisor])];
  },
  quant: "arithmetic",
  packs: awaits("mean-variance-normalization"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});

export const vectorNormalizations: readonly Operator[] = [lrn, lpNormalization, meanVariance];
