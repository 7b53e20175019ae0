/** Convolution and its transpose, in any number of spatial axes, grouped and dilated. */
import { attribute, type Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Dim, Shape } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { sameDim } from "./dims.js";
import { inexact } from "./elementwise.js";
import {
  type AttributeReader,
  awaits,
  type GradientSite,
  type Kept,
  type Operator,
  ofProduct,
  op,
  type Rewrite,
  type Site,
  type Unrolled,
} from "./record.js";
import { at, need } from "./site.js";
import { explicitPads, type FullWindow, fullWindow, reach, slideLength, type Window, windowOf } from "./window.js";
import { contractsZero } from "./zero.js";

interface ConvAttributes {
  readonly window: Window;
  readonly group: number;
}
const convAttributes = (r: AttributeReader): ConvAttributes => {
  const group = r.int("group", 1);
  if (group < 1) throw new PareError(`${at(r.node)}: group is ${group}; at least 1 is needed`);
  return { window: windowOf(r, "conv"), group };
};

/** x and w with ranks that fit; null where a rank is unknown. */
function operands(s: Site): { x: Shape; w: Shape } | null {
  const [x, w] = [need(s, 0).shape, need(s, 1).shape];
  if (!x || !w) return null;
  if (x.length < 3 || w.length !== x.length)
    throw new PareError(
      `${at(s.node)}: x [${text(x)}] and weight [${text(w)}] should both be [n, c, spatial...] of the same rank`,
    );
  return { x, w };
}
const text = (shape: Shape): string => shape.map((d) => d || "?").join(",");

/** The kernel's lengths: the attribute, which must agree with the weight, or the weight's. null where unknown. */
function kernelOf(s: Site<ConvAttributes>, w: Shape): readonly number[] | null {
  const given = s.a.window.kernel;
  const own = w.slice(2);
  if (given && given.length !== own.length)
    throw new PareError(`${at(s.node)}: kernel_shape [${given}] does not fit the weight [${text(w)}]`);
  if (given) return given.map((k, d) => sameDim(s.node, k, own[d]!, `kernel_shape and weight axis ${d + 2}`) as number);
  return own.every((d) => typeof d === "number") ? (own as readonly number[]) : null;
}

function checkChannels(s: Site<ConvAttributes>, x: Shape, w: Shape, perGroup: number): void {
  const { group } = s.a;
  const [c, wc] = [x[1]!, w[perGroup]!];
  if (perGroup === 1 && typeof c === "number" && typeof wc === "number" && c !== wc * group)
    throw new PareError(
      `${at(s.node)}: weight [${text(w)}] with group ${group} expects ${wc * group} input channels, x [${text(x)}] has ${c}`,
    );
  if (typeof w[0] === "number" && w[0] % group !== 0)
    throw new PareError(`${at(s.node)}: ${w[0]} channels of the weight do not divide into ${group} groups`);
}

const resolved = (s: GradientSite<ConvAttributes>): { f: FullWindow; pads: number[] } => {
  const [x, w] = [s.dims(0), s.dims(1)];
  const f = fullWindow(s.node, s.a.window, kernelOf(s, w)!, x.length - 2);
  return { f, pads: explicitPads(s.a.window, f, x.slice(2)) };
};
const windowAttributes = (f: FullWindow, pads: readonly number[], group: number) => ({
  kernel_shape: f.kernel,
  strides: f.strides,
  pads,
  dilations: f.dilations,
  group,
});
/** dL/db of a bias over channels: everything else is summed. */
const channelSum = (g: Emitter, dy: string, rank: number): string =>
  g.reduceSum(
    dy,
    Array.from({ length: rank }, (_, d) => d).filter((d) => d !== 1),
  );

const groups = (channels: (kept: Kept) => number | undefined, perGroup: (kept: Kept) => number | undefined) =>
  ((_: Site<ConvAttributes>, kept: Kept): Rewrite => ({
    attributes: { group: { kind: "int", value: channels(kept)! / perGroup(kept)! } },
  })) satisfies Operator<ConvAttributes>["rewrite"];

/** x [n (g c) s...], w [(g o) c k...], b [(g o)] -> y [n (g o) t...]. */
const conv = op<ConvAttributes>({
  type: "Conv",
  zero: contractsZero,
  homogeneous: ofProduct,
  domain: "",
  attrs: convAttributes,
  axes: (s) => ({ text: "n (g c) s!..., (g o) c k!..., (g o) -> n (g o) t!...", sizes: { g: s.a.group } }),
  shape: (s) => {
    const known = operands(s);
    if (!known) return [{ type: need(s, 0).type, shape: null }];
    const { x, w } = known;
    checkChannels(s, x, w, 1);
    const kernel = kernelOf(s, w);
    const f = kernel && fullWindow(s.node, s.a.window, kernel, x.length - 2);
    const spatial = x.slice(2).map((n, d): Dim => (f ? slideLength(s.node, s.a.window, f, d, n) : ""));
    return [{ type: need(s, 0).type, shape: [x[0]!, w[0]!, ...spatial] }];
  },
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return s.inputs.map(() => null);
    const { f, pads } = resolved(s);
    const attributes = windowAttributes(f, pads, s.a.group);
    const [x, w] = s.inputs as [string, string];
    const dx = () => g.op("ConvInputGrad", [dy, w], { ...attributes, input_shape: s.dims(0) }, "pare");
    const dw = () => g.op("ConvWeightGrad", [x, dy], { ...attributes, weight_shape: s.dims(1) }, "pare");
    return [
      s.wanted[0] ? dx() : null,
      s.wanted[1] ? dw() : null,
      s.wanted[2] ? channelSum(g, dy, s.dims(0).length) : null,
    ].slice(0, s.inputs.length);
  },
  quant: "weights",
  packs: awaits("conv"),
  raise: "same",
  rewrite: groups(
    (kept) => kept.x[0]?.[1],
    (kept) => kept.x[1]?.[1],
  ),
  fold: inexact,
  unroll,
});

/** x's windows as columns: a depthwise Conv whose kernels hold a single 1. It strides further where not every window is wanted. */
function unroll(s: Site<ConvAttributes>, weight: 0 | 1): Unrolled | null {
  const w = s.x[1]?.shape;
  if (weight !== 1 || !w?.every((d) => typeof d === "number")) return null;
  const [all, perGroup, ...kernel] = w as readonly [number, number, ...number[]];
  const { group, window } = s.a;
  const taps = sizeOf(kernel);
  const channels = group * perGroup;
  const [inputs, outputs] = [perGroup * taps, all / group];
  const axes = kernel.map((_, d) => d + 2);
  // Pads that depend on the strides would put the windows elsewhere.
  const padded = window.autoPad === "SAME_UPPER" || window.autoPad === "SAME_LOWER";
  const stepsOf = (every: number) => (padded ? kernel.map(() => 1) : evenSteps(kernel.length, every));
  const matrix = (g: Emitter, name: string, rows: number): string =>
    g.reshape(g.transpose(name, [1, 0, ...axes]), [group, rows, -1]);
  const x = (g: Emitter, data: string, every: number): string => {
    const single = new Float32Array(channels * taps * taps);
    for (let i = 0; i < channels * taps; i++) single[i * taps + (i % taps)] = 1;
    const strides = stepsOf(every).map((step, d) => step * (window.strides?.[d] ?? 1));
    const windows = g.fresh("windows");
    g.push({
      ...s.node,
      name: windows,
      inputs: [data, g.constant(floats(single, [channels * taps, 1, ...kernel]), "taps")],
      outputs: [windows],
      attributes: { ...s.node.attributes, group: attribute(channels), strides: attribute(strides) },
    });
    return matrix(g, windows, inputs);
  };
  const y = (g: Emitter, output: string, every: number): string =>
    matrix(g, g.everyOf(output, axes, stepsOf(every)), outputs);
  return { groups: group, inputs, outputs, transposed: false, x, y };
}
/** As even steps along `axes` axes as have a product of at most `most`, the larger ones last. */
function evenSteps(axes: number, most: number): number[] {
  const each = Math.floor(most ** (1 / axes) + 1e-9);
  const steps = Array<number>(axes).fill(each);
  for (let a = axes - 1; a >= 0 && (each + 1) ** (axes - a) * each ** a <= most; a--) steps[a] = each + 1;
  return steps;
}

interface TransposeAttributes extends ConvAttributes {
  readonly outputPadding: readonly number[] | null;
  readonly outputShape: readonly number[] | null;
}

/** Length of the output before pads are cut off. */
const grownLength = (s: Site<TransposeAttributes>, f: FullWindow, d: number, n: number): number =>
  (n - 1) * f.strides[d]! + (s.a.outputPadding?.[d] ?? 0) + reach(f, d);

/** Spatial length d of the output, and the pads that give it. */
function transposeAxis(s: Site<TransposeAttributes>, f: FullWindow, d: number, n: number) {
  const { window: w, outputShape } = s.a;
  const spatial = f.kernel.length;
  const grown = grownLength(s, f, d, n);
  const wanted = outputShape?.[outputShape.length - spatial + d];
  const same = w.autoPad === "SAME_UPPER" || w.autoPad === "SAME_LOWER";
  if (wanted === undefined && !same) {
    const [begin, end] = w.autoPad === "VALID" || !w.pads ? [0, 0] : [w.pads[d]!, w.pads[d + spatial]!];
    return { length: grown - begin - end, begin, end };
  }
  const length = wanted ?? n * f.strides[d]!;
  const total = Math.max(0, grown - length);
  const half = Math.floor(total / 2);
  return w.autoPad === "SAME_UPPER"
    ? { length, begin: half, end: total - half }
    : { length, begin: total - half, end: half };
}

/** x [n (g c) s...], w [(g c) o k...], b [(g o)] -> y [n (g o) t...]: the input gradient of a Conv, run forward. */
const convTranspose = op<TransposeAttributes>({
  type: "ConvTranspose",
  zero: contractsZero,
  homogeneous: ofProduct,
  domain: "",
  attrs: (r) => ({
    ...convAttributes(r),
    outputPadding: r.ints("output_padding"),
    outputShape: r.ints("output_shape"),
  }),
  axes: (s) => ({ text: "n (g c) s!..., (g c) o k!..., (g o) -> n (g o) t!...", sizes: { g: s.a.group } }),
  shape: (s) => {
    const known = operands(s);
    if (!known) return [{ type: need(s, 0).type, shape: null }];
    const { x, w } = known;
    sameDim(s.node, x[1]!, w[0]!, "channels of x and weight");
    checkChannels(s, x, w, 0);
    const kernel = kernelOf(s, w);
    const f = kernel && fullWindow(s.node, s.a.window, kernel, x.length - 2);
    const spatial = x.slice(2).map((n, d): Dim => {
      const fixed = s.a.outputShape;
      if (fixed) return fixed[fixed.length - (x.length - 2) + d] ?? "";
      return f && typeof n === "number" ? transposeAxis(s, f, d, n).length : "";
    });
    const out = typeof w[1] === "number" ? w[1] * s.a.group : s.a.group === 1 ? w[1]! : "";
    return [{ type: need(s, 0).type, shape: [x[0]!, out, ...spatial] }];
  },
  grad: (g, s) => {
    const dy = s.dy[0];
    return dy ? transposeGradient(g, s, dy) : s.inputs.map(() => null);
  },
  quant: "weights",
  packs: awaits("conv-transpose"),
  raise: "same",
  rewrite: groups(
    (kept) => kept.y[0]?.[1],
    (kept) => kept.x[1]?.[1],
  ),
  fold: inexact,
});

function transposeGradient(g: Emitter, s: GradientSite<TransposeAttributes>, dy: string): (string | null)[] {
  const [x, w] = [s.dims(0), s.dims(1)];
  const f = fullWindow(s.node, s.a.window, kernelOf(s, w)!, x.length - 2);
  const plan = x.slice(2).map((n, d) => transposeAxis(s, f, d, n));
  // Output that no window reaches (output_padding) has no gradient: cut dy to what the Conv below reads, pads included.
  const read = x.slice(2).map((n, d) => (n - 1) * f.strides[d]! + reach(f, d) - plan[d]!.begin);
  const length = plan.map((p, d) => Math.min(p.length, read[d]!));
  const axes = plan.flatMap((p, d) => (length[d]! < p.length ? [d] : []));
  const used =
    axes.length && (s.wanted[0] || s.wanted[1])
      ? g.op("Slice", [
          dy,
          g.ints(axes.map(() => 0)),
          g.ints(axes.map((d) => length[d]!)),
          g.ints(axes.map((d) => d + 2)),
        ])
      : dy;
  const pads = [...plan.map((p) => p.begin), ...read.map((r, d) => r - length[d]!)];
  const attributes = windowAttributes(f, pads, s.a.group);
  const dx = () => g.op("Conv", [used, s.inputs[1]!], attributes);
  const dw = () => g.op("ConvWeightGrad", [used, s.inputs[0]!], { ...attributes, weight_shape: w }, "pare");
  return [s.wanted[0] ? dx() : null, s.wanted[1] ? dw() : null, s.wanted[2] ? channelSum(g, dy, x.length) : null].slice(
    0,
    s.inputs.length,
  );
}

export const convolutions: readonly Operator[] = [conv, convTranspose];
