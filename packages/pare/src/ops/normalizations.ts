/** Normalisation by statistics of the sample itself: instance, layer, group, root mean square. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { ElementType, Shape, ValueType } from "../graph/graph.js";
import { elementType } from "../graph/tensor.js";
import { sumTo, times } from "./calculus.js";
import { axisIn } from "./dims.js";
import { dropConsumed, inexact } from "./elementwise.js";
import { type AttributeReader, awaits, type GradientSite, type Operator, ofAffine, op, type Site } from "./record.js";
import { at, need } from "./site.js";
import { anyZero, scaledZero } from "./zero.js";

const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);
export const meanOver = (g: Emitter, x: string, axes: readonly number[]): string =>
  g.op("ReduceMean", [x, g.ints(axes)], { keepdims: 1 });

/** x over `axes`: centred (or not), divided by its root mean square. */
interface Normal {
  readonly normal: string;
  /** 1 / sqrt(mean square + epsilon), with the reduced axes as length 1. */
  readonly inverse: string;
  readonly centred: string;
}
export function normalize(g: Emitter, x: string, axes: readonly number[], epsilon: number, centre: boolean): Normal {
  const centred = centre ? g.op("Sub", [x, meanOver(g, x, axes)]) : x;
  const square = meanOver(g, mul(g, centred, centred), axes);
  const inverse = g.op("Reciprocal", [g.op("Sqrt", [g.op("Add", [square, g.scalar(epsilon)])])]);
  return { normal: mul(g, centred, inverse), inverse, centred };
}

/** dL/dx from d = dL/d(normal): what the statistics take back. */
export function throughNormal(g: Emitter, n: Normal, d: string, axes: readonly number[], centre: boolean): string {
  const along = mul(g, n.normal, meanOver(g, mul(g, d, n.normal), axes));
  const flat = centre ? g.op("Sub", [d, meanOver(g, d, axes)]) : d;
  return mul(g, g.op("Sub", [flat, along]), n.inverse);
}

const axesFrom = (axis: number, rank: number): number[] => Array.from({ length: rank - axis }, (_, i) => axis + i);
const text = (shape: Shape): string => shape.map((d) => d || "?").join(",");

interface Epsilon {
  readonly epsilon: number;
}

/** x [n c s...], scale and bias [c]: statistics over s of each channel of each sample. */
const instance = op<Epsilon>({
  type: "InstanceNormalization",
  zero: scaledZero,
  homogeneous: ofAffine,
  domain: "",
  attrs: (r) => ({ epsilon: r.float("epsilon", 1e-5) }),
  axes: "n c s~..., c, c -> n c s...",
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return s.inputs.map(() => null);
    const dims = s.dims(0);
    const axes = axesFrom(2, dims.length);
    const wide = (v: string) => g.reshape(v, [-1, ...axes.map(() => 1)]);
    const channels = dims.flatMap((_, d) => (d === 1 ? [] : [d]));
    const n = s.wanted[0] || s.wanted[1] ? normalize(g, s.inputs[0]!, axes, s.a.epsilon, true) : null;
    return [
      s.wanted[0] ? throughNormal(g, n!, mul(g, dy, wide(s.inputs[1]!)), axes, true) : null,
      s.wanted[1] ? g.reduceSum(mul(g, dy, n!.normal), channels) : null,
      s.wanted[2] ? g.reduceSum(dy, channels) : null,
    ];
  },
  quant: "arithmetic",
  packs: awaits("instance-normalization"),
  raise: dropConsumed,
  rewrite: "none needed",
  fold: inexact,
});

interface Trailing extends Epsilon {
  readonly axis: number;
  readonly stash: ElementType;
}
const trailing = (r: AttributeReader): Trailing => ({
  epsilon: r.float("epsilon", 1e-5),
  axis: r.int("axis", -1),
  stash: elementType(r.int("stash_type", 1)) ?? "float32",
});
/** The axes that are normalised together; null where the rank is unknown. */
function trailingAxes(s: Site<Trailing>): number[] | null {
  const rank = s.x[0]?.shape?.length;
  return rank === undefined ? null : axesFrom(axisIn(s.node, s.a.axis, rank), rank);
}
function trailingLetters(s: Site<Trailing>): string {
  const axes = trailingAxes(s) ?? [0];
  const k = axes.map((_, i) => `k${i}x`);
  const statistics = s.node.outputs.slice(1).map(() => `, a...${axes.map(() => " 1").join("")}`);
  const parameters = s.node.inputs.slice(1).map((_, i) => `, ${k.slice(-(s.x[i + 1]?.shape?.length ?? 1)).join(" ")}`);
  return `a... ${k.map((l) => `${l}~`).join(" ")}${parameters.join("")} -> a... ${k.join(" ")}${statistics.join("")}`;
}

/** x [a... k...] normalised over k, scale and bias [k...]; mean and inverse deviation may be outputs too. */
const layer = op<Trailing>({
  type: "LayerNormalization",
  zero: scaledZero,
  homogeneous: ofAffine,
  domain: "",
  attrs: trailing,
  axes: trailingLetters,
  shape: (s) => {
    const x = need(s, 0);
    const axes = trailingAxes(s);
    const statistics = x.shape && axes ? x.shape.map((d, i) => (axes.includes(i) ? 1 : d)) : null;
    return s.node.outputs.map((name, k): ValueType | null =>
      k === 0 ? x : name ? { type: s.a.stash, shape: statistics } : null,
    );
  },
  grad: (g, s) => {
    const axes = trailingAxes(s)!;
    const [dy, dMean, dInverse] = s.dy;
    const [x, scale] = s.inputs as [string, string];
    const n = s.wanted[0] || s.wanted[1] ? normalize(g, x, axes, s.a.epsilon, true) : null;
    return [
      s.wanted[0] ? layerInput(g, s, n!, axes, dy ? mul(g, dy, scale) : null, dMean ?? null, dInverse ?? null) : null,
      s.wanted[1] && dy ? sumTo(g, mul(g, dy, n!.normal), s.dims(0), s.dims(1)) : null,
      s.wanted[2] && dy ? sumTo(g, dy, s.dims(0), s.dims(2)) : null,
    ].slice(0, s.inputs.length);
  },
  quant: "arithmetic",
  packs: awaits("layer-normalization"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});

/** dL/dx from all three outputs: y, mean and inverse deviation. */
function layerInput(
  g: Emitter,
  s: GradientSite<Trailing>,
  n: Normal,
  axes: readonly number[],
  d: string | null,
  dMean: string | null,
  dInverse: string | null,
): string {
  const share = 1 / axes.reduce((p, a) => p * s.dims(0)[a]!, 1);
  const parts: string[] = [];
  if (d) parts.push(throughNormal(g, n, d, axes, true));
  // d(inverse)/dx = -inverse^3 (x - mean) / count, and normal = (x - mean) inverse.
  if (dInverse) {
    const factor = mul(g, times(g, dInverse, -share), mul(g, n.inverse, n.inverse));
    parts.push(mul(g, factor, n.normal));
  }
  if (dMean) parts.push(g.op("Expand", [times(g, dMean, share), g.ints(s.dims(0))]));
  return parts.reduce((a, b) => g.op("Add", [a, b]));
}

/** y = x / sqrt(mean x^2 + epsilon) scale, over the trailing axes. */
const rootMeanSquare = op<Trailing>({
  type: "RMSNormalization",
  zero: anyZero,
  homogeneous: [[1]],
  domain: "",
  attrs: trailing,
  axes: trailingLetters,
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return [null, null];
    const axes = trailingAxes(s)!;
    const n = normalize(g, s.inputs[0]!, axes, s.a.epsilon, false);
    return [
      s.wanted[0] ? throughNormal(g, n, mul(g, dy, s.inputs[1]!), axes, false) : null,
      s.wanted[1] ? sumTo(g, mul(g, dy, n.normal), s.dims(0), s.dims(1)) : null,
    ];
  },
  quant: "arithmetic",
  packs: awaits("rms-normalization"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
});

interface Groups extends Epsilon {
  readonly groups: number;
}
/** x [n (g c) s...]: statistics over c and s; scale and bias per channel, in opset 18-20 per group. */
const group = op<Groups>({
  type: "GroupNormalization",
  zero: scaledZero,
  homogeneous: ofAffine,
  domain: "",
  attrs: (r) => ({ epsilon: r.float("epsilon", 1e-5), groups: r.int("num_groups") }),
  axes: (s) => {
    const parameter = s.opset < 21 ? "g" : "(g c)";
    return { text: `n (g c~) s~..., ${parameter}, ${parameter} -> n (g c) s...`, sizes: { g: s.a.groups } };
  },
  shape: (s) => {
    const x = need(s, 0);
    const c = x.shape?.[1];
    if (s.a.groups < 1 || (typeof c === "number" && c % s.a.groups !== 0))
      throw new PareError(`${at(s.node)}: x [${text(x.shape ?? [])}] does not divide into ${s.a.groups} groups`);
    return [x];
  },
  grad: (g, s) => {
    const dy = s.dy[0];
    return dy ? groupGradient(g, s, dy) : [null, null, null];
  },
  quant: "arithmetic",
  packs: awaits("group-normalization"),
  raise: (g, node, opset, s, to) => {
    if (opset >= 21 || to < 21) return "same";
    const channels = s?.x[0]?.shape?.[1];
    if (!s || typeof channels !== "number")
      throw new PareError(`${at(node)}: parameters per group need a known number of channels to become per channel`);
    const { groups } = s.a as Groups;
    const each = (v: string) =>
      g.reshape(g.op("Expand", [g.reshape(v, [groups, 1]), g.ints([groups, channels / groups])]), [channels]);
    g.push({ ...node, inputs: [node.inputs[0]!, each(node.inputs[1]!), each(node.inputs[2]!)] });
    return node.outputs;
  },
  rewrite: (s, kept) => {
    const [before, after] = [s.x[0]?.shape?.[1], kept.x[0]?.[1]];
    if (typeof before !== "number" || after === undefined) return {};
    return { attributes: { num_groups: { kind: "int", value: after / (before / s.a.groups) } } };
  },
  fold: inexact,
});

function groupGradient(g: Emitter, s: GradientSite<Groups>, dy: string): (string | null)[] {
  const dims = s.dims(0);
  const [n, c] = dims as [number, number];
  const { groups } = s.a;
  const grouped = [n, groups, c / groups, -1];
  const perGroup = s.opset < 21;
  const axes = [2, 3];
  const dy4 = g.reshape(dy, grouped);
  const wide = (v: string) => g.reshape(v, perGroup ? [groups, 1, 1] : [groups, c / groups, 1]);
  const normal =
    s.wanted[0] || s.wanted[1] ? normalize(g, g.reshape(s.inputs[0]!, grouped), axes, s.a.epsilon, true) : null;
  const parameter = (v: string) => {
    const sum = g.reduceSum(v, perGroup ? [0, 2, 3] : [0, 3]);
    return perGroup ? sum : g.reshape(sum, [c]);
  };
  return [
    s.wanted[0] ? g.reshape(throughNormal(g, normal!, mul(g, dy4, wide(s.inputs[1]!)), axes, true), dims) : null,
    s.wanted[1] ? parameter(mul(g, dy4, normal!.normal)) : null,
    s.wanted[2] ? parameter(dy4) : null,
  ];
}

export const normalizations: readonly Operator[] = [instance, layer, rootMeanSquare, group];
