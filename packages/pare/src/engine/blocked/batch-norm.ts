/**
 * BatchNormalization in training mode and its gradient, in blocks: a node comes in, its blocked form is emitted; false where it stays plain.
 *
 * Scale, shift, residual sum and ReLU are one depthwise 1x1 convolution; a per-channel sum of a*b is a depthwise convolution of a with b as kernel.
 */
import type { Node } from "../../graph/graph.js";
import type { Fusion, Image, Layout } from "./layout.js";
import { channelSums, cutChannels } from "./reduce.js";
import { channels } from "./weights.js";
import { numberOf } from "./window.js";

/** BatchNormTraining(x, scale, bias) -> y, mean, variance (of the population). */
export function batchNormTraining(l: Layout, node: Node): boolean {
  const [x, scale, bias] = node.inputs as [string, string, string];
  const [y, mean, variance] = node.outputs as [string, string, string];
  const xs = l.image(x);
  if (!xs || !l.isBlocked(x) || l.block > xs[1] * 2) return false;
  const { g } = l;
  const [n, c, h, w] = xs;
  const t = l.blocked(x);
  const scaled = (v: string) => g.op("Mul", [v, g.scalar(1 / (n * h * w))]);
  const m = scaled(channelSums(l, t, xs));
  const centred = centre(l, x, xs, m, mean);
  const v = scaled(dot(l, centred, centred, xs));
  cutChannels(l, m, c, mean, [c]);
  cutChannels(l, v, c, variance, [c]);
  l.once(`rstd ${variance}`, () => rstdOf(l, v, node));
  const s = slope(l, scale, variance, c, node);
  l.define(y, (fusion) => affine(l, centred, xs, s, channels(l, bias, c), fusion), "sum");
  return true;
}

/** BatchNormTrainingGrad(dy, x, scale, mean, variance) -> dx, dscale, dbias. */
export function batchNormTrainingGrad(l: Layout, node: Node): boolean {
  const [dy, x, scale, mean, variance] = node.inputs as [string, string, string, string, string];
  const [dx, dscale, dbias] = node.outputs as [string, string, string];
  const xs = l.image(x);
  if (!xs || !l.isBlocked(x)) return false;
  const { g } = l;
  const [n, c, h, w] = xs;
  const d = l.blocked(dy);
  const centred = centre(l, x, xs, "", mean);
  const rstd = rstdOf(l, channels(l, variance, c), node, variance);
  const s = slope(l, scale, variance, c, node);
  const sum = channelSums(l, d, xs);
  const slopeGradient = g.op("Mul", [rstd, dot(l, d, centred, xs)]);
  if (dscale) cutChannels(l, slopeGradient, c, dscale, [c]);
  if (dbias) cutChannels(l, sum, c, dbias, [c]);
  if (!dx) return true;
  // dx = s dy + k (x - mean) + k0
  const share = g.op("Mul", [s, g.scalar(-1 / (n * h * w))]);
  const k = g.op("Mul", [share, g.op("Mul", [rstd, slopeGradient])]);
  const k0 = g.op("Mul", [share, sum]);
  l.define(dx, () => affine(l, d, xs, s, k0, { sum: affine(l, centred, xs, k, "") }));
  return true;
}

/** x - mean, made once for the forward pass and the gradient: a variance from uncentred squares loses digits where |mean| is large. */
function centre(l: Layout, x: string, xs: Image, m: string, mean: string): string {
  return l.once(`centred ${x} ${mean}`, () => {
    const vector = m || channels(l, mean, xs[1]);
    return affine(l, l.blocked(x), xs, l.g.full(1, [l.pad(xs[1])]), l.g.op("Neg", [vector]));
  });
}
function rstdOf(l: Layout, variance: string, node: Node, name = node.outputs[2]!): string {
  const { g } = l;
  return l.once(`rstd ${name}`, () => {
    const epsilon = g.scalar(numberOf(node, "epsilon", 1e-5));
    return g.op("Reciprocal", [g.op("Sqrt", [g.op("Add", [variance, epsilon])])]);
  });
}
const slope = (l: Layout, scale: string, variance: string, c: number, node: Node): string =>
  l.once(`slope ${scale} ${variance}`, () => l.g.op("Mul", [channels(l, scale, c), rstdOf(l, "", node, variance)]));

/** s x + b per channel, then the fusion. */
function affine(l: Layout, x: string, [, c]: Image, s: string, b: string, { sum, relu }: Fusion = {}): string {
  const C = l.pad(c);
  const inputs = [x, l.g.reshape(s, [C, 1, 1, 1]), b, sum ?? ""];
  while (inputs.at(-1) === "") inputs.pop();
  return l.nchwc("Conv", inputs, { kernel_shape: [1, 1], group: C, ...(relu ? { activation: "Relu" } : {}) });
}

/** Per-channel sums of a*b, as [C]: every image of the batch is a group. */
function dot(l: Layout, a: string, b: string, [n, c, h, w]: Image): string {
  const { g } = l;
  const groups = n * l.pad(c);
  const inputs = [g.reshape(a, [1, groups, h, w]), g.reshape(b, [groups, 1, h, w])];
  const products = l.nchwc("Conv", inputs, { kernel_shape: [h, w], group: groups });
  return g.reduceSum(g.reshape(products, [n, l.pad(c)]), [0]);
}
