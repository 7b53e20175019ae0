/** Operators of the domain "pare": gradients and training forms that the engine lowers to its best realisation. Closed under differentiation. */
import type { Emitter } from "../graph/emit.js";
import { batchNormTrainings } from "./batch-norm-training.js";
import { inexact } from "./elementwise.js";
import { type AttributeReader, type GradientSite, none, type Operator, op } from "./record.js";
import { need } from "./site.js";

const training = none("occurs in training graphs only");
/** The facets that no composite has: they live between differentiation and the engine. */
export const composite = {
  domain: "pare",
  quant: training,
  packs: training,
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
} as const;

interface ConvGradient {
  /** Conv's own attributes, passed on to every further gradient. */
  readonly conv: Readonly<Record<string, number | readonly number[]>>;
  readonly shape: readonly number[];
}
const windowAttributes = (r: AttributeReader): Record<string, number | readonly number[]> => {
  const kernel = r.ints("kernel_shape", []);
  return {
    kernel_shape: kernel,
    strides: r.ints(
      "strides",
      kernel.map(() => 1),
    ),
    pads: r.ints(
      "pads",
      [...kernel, ...kernel].map(() => 0),
    ),
    dilations: r.ints(
      "dilations",
      kernel.map(() => 1),
    ),
  };
};
const convGradient =
  (shapeName: string) =>
  (r: AttributeReader): ConvGradient => ({
    conv: { ...windowAttributes(r), group: r.int("group", 1) },
    shape: r.ints(shapeName, []),
  });
const unwanted = (s: GradientSite): null[] => s.inputs.map(() => null);

/** dL/dx of y = Conv(x, w): dy [n (g o) t...], w [(g o) c k...] -> dx of `input_shape`. Bilinear. */
const convInputGrad = op<ConvGradient>({
  ...composite,
  type: "ConvInputGrad",
  attrs: convGradient("input_shape"),
  axes: (s) => ({ text: "n (g o) t!..., (g o) c k!... -> n (g c) s!...", sizes: { g: s.a.conv.group as number } }),
  shape: (s) => [{ type: need(s, 0).type, shape: s.a.shape }],
  grad: (g, s) => {
    const u = s.dy[0];
    if (!u) return unwanted(s);
    const [dy, w] = s.inputs as [string, string];
    return [
      s.wanted[0] ? g.op("Conv", [u, w], s.a.conv) : null,
      s.wanted[1] ? g.op("ConvWeightGrad", [u, dy], { ...s.a.conv, weight_shape: s.dims(1) }, "pare") : null,
    ];
  },
});

/** dL/dw of y = Conv(x, w): x [n (g c) s...], dy [n (g o) t...] -> dw of `weight_shape`. Bilinear. */
const convWeightGrad = op<ConvGradient>({
  ...composite,
  type: "ConvWeightGrad",
  attrs: convGradient("weight_shape"),
  axes: (s) => ({ text: "n (g c) s!..., n (g o) t!... -> (g o) c k!...", sizes: { g: s.a.conv.group as number } }),
  shape: (s) => [{ type: need(s, 0).type, shape: s.a.shape }],
  grad: (g, s) => {
    const u = s.dy[0];
    if (!u) return unwanted(s);
    const [x, dy] = s.inputs as [string, string];
    return [
      s.wanted[0] ? g.op("ConvInputGrad", [dy, u], { ...s.a.conv, input_shape: s.dims(0) }, "pare") : null,
      s.wanted[1] ? g.op("Conv", [x, u], s.a.conv) : null,
    ];
  },
});

/** dy where y > 0, else 0: the gradient of y = Relu(x). Linear in dy. */
const reluGrad = op({
  ...composite,
  type: "ReluGrad",
  attrs: () => ({}),
  axes: "s..., s... -> s...",
  shape: (s) => [need(s, 0)],
  grad: (g, s) => [
    s.wanted[0] && s.dy[0] ? g.op("ReluGrad", [s.dy[0], s.inputs[1]!], {}, "pare") : null,
    // y moves dx only where it crosses 0.
    null,
  ],
});

interface PoolGradient {
  readonly window: Readonly<Record<string, number | readonly number[]>>;
  /** Windows lie side by side and cover whole elements: tied maxima share. Else the first maximum takes all. */
  readonly shares: boolean;
}

/** dL/dx of y = MaxPool(x): dy, x, y -> dx. Linear in dy; x and y only say which elements are maxima. */
const maxPoolGrad = op<PoolGradient>({
  ...composite,
  type: "MaxPoolGrad",
  attrs: (r) => {
    const window = { ...windowAttributes(r), ceil_mode: r.int("ceil_mode", 0) };
    const { kernel_shape: kernel, strides, pads, dilations } = window as unknown as Record<string, readonly number[]>;
    const tiled = kernel!.every((k, d) => k === strides![d] && dilations![d] === 1);
    return { window, shares: tiled && pads!.every((p) => p === 0) && window.ceil_mode === 0 };
  },
  axes: "n c t!..., n c s!..., n c t!... -> n c s!...",
  shape: (s) => [need(s, 1)],
  grad: (g, s) => [s.wanted[0] && s.dy[0] ? pick(g, s, s.dy[0]) : null, null, null],
});

/** The adjoint of MaxPoolGrad in dy: every window reads u [n c s...] at its maximum, or its maxima's mean. */
function pick(g: Emitter, s: GradientSite<PoolGradient>, u: string): string {
  const [, x, y] = s.inputs as [string, string, string];
  const [from, to] = [s.dims(1), s.dims(0)];
  if (!s.a.shares) {
    const [, indices] = g.ops("MaxPool", [x], s.a.window, 2);
    const flat = g.op("GatherElements", [g.reshape(u, [-1]), g.reshape(indices!, [-1])], { axis: 0 });
    return g.reshape(flat, to);
  }
  const ones = g.full(1, to);
  const shares = g.op("MaxPoolGrad", [ones, x, y], s.a.window, "pare");
  const { ceil_mode: _, ...window } = s.a.window;
  const kernel = window.kernel_shape as readonly number[];
  const channels = from[1]!;
  const sum = g.full(1, [channels, 1, ...kernel]);
  return g.op("Conv", [g.op("Mul", [u, shares]), sum], { ...window, group: channels });
}

export const compositeOperators: readonly Operator[] = [
  convInputGrad,
  convWeightGrad,
  reluGrad,
  maxPoolGrad,
  ...batchNormTrainings,
];
