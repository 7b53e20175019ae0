/** Activations made of straight pieces or cut off on one side. */
import type { Emitter } from "../graph/emit.js";
import type { Tensor } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { gate, sumTo, times } from "./calculus.js";
import { dropConsumed, inexact, unary } from "./elementwise.js";
import { type AttributeReader, awaits, type GradientSite, type Operator, ofFirst, op, type Site } from "./record.js";
import { need } from "./site.js";
import { numbersOf, smallElements, tensorOf } from "./values.js";
import { keepsZero } from "./zero.js";

const alphaOf = (fallback: number) => (r: AttributeReader) => ({ alpha: r.float("alpha", fallback) });
const positive = (g: Emitter, x: string): string => g.op("Greater", [x, g.scalar(0)]);
const pick = (g: Emitter, condition: string, yes: string, no: string): string => g.op("Where", [condition, yes, no]);

const relu = unary("Relu", {
  zero: true,
  homogeneous: true,
  rectifies: true,
  grad: (g, { y, dy }) => g.op("ReluGrad", [dy, y], {}, "pare"),
  quant: "passes",
  fold: (x) => Math.max(x, 0),
});

const leakyRelu = unary("LeakyRelu", {
  zero: true,
  homogeneous: true,
  attrs: alphaOf(0.01),
  grad: (g, { x, dy }, { alpha }) => pick(g, positive(g, x), dy, times(g, dy, alpha)),
  quant: "passes",
});

const elu = unary("Elu", {
  zero: true,
  attrs: alphaOf(1),
  grad: (g, { x, y, dy }, { alpha }) =>
    pick(g, positive(g, x), dy, g.op("Mul", [dy, g.op("Add", [y, g.scalar(alpha)])])),
  quant: "arithmetic",
});

const celu = unary("Celu", {
  zero: true,
  attrs: alphaOf(1),
  grad: (g, { x, dy }, { alpha }) => {
    // Only the negative side reaches Exp, so that a large x does not turn the unused branch into infinity.
    const below = g.op("Min", [x, g.scalar(0)]);
    return g.op("Mul", [dy, g.op("Exp", [times(g, below, 1 / alpha)])]);
  },
  quant: "arithmetic",
});

const selu = unary("Selu", {
  zero: true,
  // Version 1 rounded its defaults to four digits.
  attrs: (r) => ({
    alpha: r.float("alpha", r.opset < 6 ? 1.6732 : 1.6732631921768188),
    gamma: r.float("gamma", r.opset < 6 ? 1.0507 : 1.0507010221481323),
  }),
  grad: (g, { x, y, dy }, { alpha, gamma }) =>
    pick(g, positive(g, x), times(g, dy, gamma), g.op("Mul", [dy, g.op("Add", [y, g.scalar(alpha * gamma)])])),
  quant: "arithmetic",
  raise: (g, node, opset, s) => {
    if (opset >= 6) return "same";
    const a = (s?.a ?? {}) as { alpha?: number; gamma?: number };
    g.push({
      ...node,
      attributes: {
        alpha: node.attributes.alpha ?? { kind: "float", value: a.alpha ?? 1.6732 },
        gamma: node.attributes.gamma ?? { kind: "float", value: a.gamma ?? 1.0507 },
      },
    });
    return node.outputs;
  },
});

const thresholdedRelu = unary("ThresholdedRelu", {
  zero: true,
  attrs: alphaOf(1),
  grad: (g, { x, dy }, { alpha }) => gate(g, g.op("Greater", [x, g.scalar(alpha)]), dy),
  quant: "arithmetic",
});

const within = (g: Emitter, x: string, low: number, high: number): string =>
  g.op("And", [g.op("Greater", [x, g.scalar(low)]), g.op("Less", [x, g.scalar(high)])]);

const hardSigmoid = unary("HardSigmoid", {
  attrs: (r) => ({ alpha: r.float("alpha", 0.2), beta: r.float("beta", 0.5) }),
  grad: (g, { y, dy }, { alpha }) => gate(g, within(g, y, 0, 1), times(g, dy, alpha)),
  quant: "arithmetic",
});

const hardSwish = unary("HardSwish", {
  zero: true,
  grad: (g, { x, dy }) => {
    const gateValue = g.op("HardSigmoid", [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
    const slope = gate(g, within(g, x, -3, 3), times(g, x, 1 / 6));
    return g.op("Mul", [dy, g.op("Add", [gateValue, slope])]);
  },
  quant: "arithmetic",
});

/** Clip: limits are attributes before opset 11, inputs since; an absent one is no limit. */
interface Limits {
  readonly min: number | null;
  readonly max: number | null;
}
const limitValue = (t: Tensor | null): number | null => (t ? (numbersOf(t)?.[0] ?? null) : null);

const lowOf = (s: Site<Limits>): number | null => s.a.min ?? limitValue(s.value(1));
const highOf = (s: Site<Limits>): number | null => s.a.max ?? limitValue(s.value(2));

const clip = op<Limits>({
  type: "Clip",
  domain: "",
  attrs: (r) => ({
    min: r.opset < 11 && r.has("min") ? r.float("min") : null,
    max: r.opset < 11 && r.has("max") ? r.float("max") : null,
  }),
  axes: "a..., , -> a...",
  zero: (z, s) => {
    const known = (i: 1 | 2) => !s.node.inputs[i] || s.value(i) !== null;
    return z[0] === true && known(1) && known(2) && (lowOf(s) ?? 0) <= 0 && (highOf(s) ?? 0) >= 0;
  },
  // Limits at zero and at infinity move with no factor.
  homogeneous: (s) => {
    const fixed = (limit: number | null, i: 1 | 2) =>
      limit === 0 || (limit === null ? !s.node.inputs[i] : Math.abs(limit) > 1e38);
    return fixed(lowOf(s), 1) && fixed(highOf(s), 2) ? ofFirst : null;
  },
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return s.inputs.map(() => null);
    const limit = (i: 1 | 2): string | null => {
      const value = i === 1 ? s.a.min : s.a.max;
      return s.inputs[i] || (value === null ? null : g.scalar(value));
    };
    const [low, high] = [limit(1), limit(2)];
    const x = s.inputs[0]!;
    // Limits that stand in the wrong order make everything the upper one. Known limits are checked here, others in the graph.
    const ordered =
      [1, 2].every((i) => !s.inputs[i] || s.value(i)) &&
      (lowOf(s) ?? Number.NEGATIVE_INFINITY) <= (highOf(s) ?? Number.POSITIVE_INFINITY);
    const wants = (i: 1 | 2): boolean => s.wanted[0] === true || (s.wanted[i] === true && s.inputs[i] !== "");
    const upper = wants(2) || (wants(1) && !ordered) ? high : null;
    const above = upper && g.op("Greater", [low && !ordered ? g.op("Max", [x, low]) : x, upper]);
    const under = low && wants(1) ? g.op("Less", [x, low]) : null;
    const below = under && above && !ordered ? g.op("And", [under, g.op("Not", [above])]) : under;
    const dx = (): string => {
      const outside = below && above ? g.op("Or", [below, above]) : below || above;
      return outside ? g.op("Where", [outside, g.scalar(0), dy]) : dy;
    };
    const part = (i: 1 | 2, where: string | null) =>
      s.wanted[i] && where && s.inputs[i] ? sumTo(g, gate(g, where, dy), s.outDims(0), s.dims(i)) : null;
    return [s.wanted[0] ? dx() : null, part(1, below), part(2, above)].slice(0, s.inputs.length);
  },
  quant: "passes",
  packs: awaits("clip"),
  raise: (g, node, opset, s) => {
    if (opset >= 11) return "same";
    const limit = (name: "min" | "max"): string => {
      const a = node.attributes[name];
      if (a?.kind !== "float") return "";
      const single = g.constant({ type: "float32", dims: [], bytes: new Uint8Array(Float32Array.of(a.value).buffer) });
      return s?.x[0]?.type === "float32" ? single : g.op("CastLike", [single, node.inputs[0]!]);
    };
    const inputs = [node.inputs[0]!, limit("min"), limit("max")];
    while (inputs.at(-1) === "") inputs.pop();
    g.push({ ...node, inputs, attributes: {} });
    return node.outputs;
  },
  rewrite: "none needed",
  fold: (s) => {
    const x = s.value(0);
    if (!x || sizeOf(x.dims) > smallElements) return null;
    if ((s.node.inputs[1] && !s.value(1)) || (s.node.inputs[2] && !s.value(2))) return null;
    const low = lowOf(s) ?? Number.NEGATIVE_INFINITY;
    const high = highOf(s) ?? Number.POSITIVE_INFINITY;
    const values = numbersOf(x);
    return (
      values && [
        tensorOf(
          x.type,
          x.dims,
          values.map((v) => Math.min(Math.max(v, low), high)),
        ),
      ]
    );
  },
});

/** PRelu: the slope broadcasts to x; before opset 7 a slope [c] belongs to axis 1. */
const slopePerChannel = (s: { opset: number; x: GradientSite["x"] }): boolean => {
  const [x, slope] = [s.x[0]?.shape, s.x[1]?.shape];
  return s.opset < 7 && slope?.length === 1 && slope[0] !== 1 && x !== undefined && (x?.length ?? 0) > 2;
};
const prelu = op({
  type: "PRelu",
  zero: keepsZero,
  homogeneous: ofFirst,
  domain: "",
  attrs: () => ({}),
  axes: (s) => (slopePerChannel(s) ? "n c s..., c -> n c s..." : "a..., a... -> a..."),
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return [null, null];
    const x = s.inputs[0]!;
    // As the slope is aligned: an old [c] becomes [c 1...].
    const aligned = slopePerChannel(s) ? [s.dims(1)[0]!, ...s.dims(0).slice(2).fill(1)] : s.dims(1);
    const align = (v: string, dims: readonly number[]) => (slopePerChannel(s) ? g.reshape(v, dims) : v);
    const up = positive(g, x);
    const below = () => g.op("Where", [up, g.scalar(0), g.op("Mul", [dy, x])]);
    return [
      s.wanted[0] ? pick(g, up, dy, g.op("Mul", [dy, align(s.inputs[1]!, aligned)])) : null,
      s.wanted[1] ? align(sumTo(g, below(), s.outDims(0), aligned), s.dims(1)) : null,
    ];
  },
  quant: "arithmetic",
  packs: awaits("prelu"),
  raise: (g, node, opset, s) => {
    if (opset >= 7 || !s || !slopePerChannel(s)) return dropConsumed(g, node);
    const tail = Array.from({ length: s.x[0]!.shape!.length - 2 }, (_, i) => i + 1);
    g.push({
      ...node,
      inputs: [node.inputs[0]!, g.op("Unsqueeze", [node.inputs[1]!, g.ints(tail)])],
      attributes: {},
    });
    return node.outputs;
  },
  rewrite: "none needed",
  fold: inexact,
});

export const rectifiers: readonly Operator[] = [
  relu,
  leakyRelu,
  prelu,
  elu,
  celu,
  selu,
  thresholdedRelu,
  hardSigmoid,
  hardSwish,
  clip,
];
