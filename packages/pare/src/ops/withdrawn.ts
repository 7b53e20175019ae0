/** Experimental operators that ONNX withdrew and old files still hold; raising writes them out in plain ONNX. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Dim, Node, Tensor } from "../graph/graph.js";
import { floats } from "../graph/tensor.js";
import { times } from "./calculus.js";
import { unary } from "./elementwise.js";
import { none, type Operator, op } from "./record.js";
import { at, need } from "./site.js";

const withdrawn = none("withdrawn from ONNX: raise the model first");
const float = (node: Node, name: string, fallback: number): number => {
  const a = node.attributes[name];
  return a?.kind === "float" ? a.value : fallback;
};
/** A float32 constant in the type of `x`. */
const like = (g: Emitter, x: string, value: Tensor): string => g.op("CastLike", [g.constant(value), x]);
const scalar = (g: Emitter, x: string, value: number): string => like(g, x, floats([value], []));
const plain = (node: Node, type: string, inputs: readonly string[]): Node => ({
  ...node,
  op: type,
  inputs,
  attributes: {},
});
const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);

/** y = alpha x + beta. */
const affine = unary<{ alpha: number; beta: number }>("Affine", {
  zero: ({ beta }) => beta === 0,
  attrs: (r) => ({ alpha: r.float("alpha", 1), beta: r.float("beta", 0) }),
  grad: (g, { dy }, { alpha }) => times(g, dy, alpha),
  quant: withdrawn,
  raise: (g, node) => {
    const x = node.inputs[0]!;
    const scaled = mul(g, x, scalar(g, x, float(node, "alpha", 1)));
    g.push(plain(node, "Add", [scaled, scalar(g, x, float(node, "beta", 0))]));
    return node.outputs;
  },
});

/** y = alpha tanh(beta x). */
const scaledTanh = unary("ScaledTanh", {
  zero: true,
  attrs: (r) => ({ alpha: r.float("alpha", 1), beta: r.float("beta", 1) }),
  grad: (g, { x, dy }, { alpha, beta }) => {
    const t = g.op("Tanh", [times(g, x, beta)]);
    return times(g, mul(g, dy, g.op("Sub", [g.scalar(1), mul(g, t, t)])), alpha * beta);
  },
  quant: withdrawn,
  raise: (g, node) => {
    const x = node.inputs[0]!;
    const t = g.op("Tanh", [mul(g, x, scalar(g, x, float(node, "beta", 1)))]);
    g.push(plain(node, "Mul", [t, scalar(g, x, float(node, "alpha", 1))]));
    return node.outputs;
  },
});

/** y = alpha log(1 + exp(beta x)). */
const parametricSoftplus = unary("ParametricSoftplus", {
  attrs: (r) => ({ alpha: r.float("alpha", 1), beta: r.float("beta", 1) }),
  grad: (g, { x, dy }, { alpha, beta }) => times(g, mul(g, dy, g.op("Sigmoid", [times(g, x, beta)])), alpha * beta),
  quant: withdrawn,
  raise: (g, node) => {
    const x = node.inputs[0]!;
    const soft = g.op("Softplus", [mul(g, x, scalar(g, x, float(node, "beta", 1)))]);
    g.push(plain(node, "Mul", [soft, scalar(g, x, float(node, "alpha", 1))]));
    return node.outputs;
  },
});

interface Scaler {
  readonly scale: number;
  readonly bias: readonly number[];
}
/** x [n c h w]: y = scale x + bias[c]. */
const imageScaler = op<Scaler>({
  type: "ImageScaler",
  domain: "",
  attrs: (r) => ({ scale: r.float("scale", 1), bias: r.floats("bias") ?? [] }),
  axes: "n c s... -> n c s...",
  shape: (s) => {
    const c = need(s, 0).shape?.[1];
    if (typeof c === "number" && s.a.bias.length !== c)
      throw new PareError(`${at(s.node)}: bias has ${s.a.bias.length} entries for ${c} channels`);
    return [need(s, 0)];
  },
  grad: (g, s) => [s.wanted[0] && s.dy[0] ? times(g, s.dy[0], s.a.scale) : null],
  quant: withdrawn,
  packs: withdrawn,
  raise: (g, node) => {
    const x = node.inputs[0]!;
    const bias = node.attributes.bias;
    const values = bias?.kind === "floats" ? bias.value : [];
    const scaled = mul(g, x, scalar(g, x, float(node, "scale", 1)));
    g.push(plain(node, "Add", [scaled, like(g, x, floats(values, [values.length, 1, 1]))]));
    return node.outputs;
  },
  rewrite: (s, kept) => ({
    attributes: { bias: { kind: "floats", value: s.a.bias.filter((_, k) => kept.has(0, 1, k)) } },
  }),
  fold: none("it works on images"),
});

interface Border {
  readonly border: readonly number[];
  readonly scale: readonly number[] | null;
}
/** From and to of the rows and columns that stay; border is left, top, right, bottom; scale is height, width. */
function window(node: Node, a: Border, h: number, w: number): [number, number, number, number] {
  const [left, top, right, bottom] = a.border as [number, number, number, number];
  const [toH, toW] = a.scale ? [top + a.scale[0]!, left + a.scale[1]!] : [h - bottom, w - right];
  if (!(top >= 0 && left >= 0 && toH <= h && toW <= w && toH > top && toW > left))
    throw new PareError(`${at(node)}: border [${a.border}] does not fit an image of ${h} x ${w}`);
  return [top, toH, left, toW];
}
/** x [n c h w] without its border. */
const crop = op<Border>({
  type: "Crop",
  domain: "",
  attrs: (r) => {
    const [border, scale] = [r.ints("border") ?? [], r.ints("scale")];
    if (border.length !== 4 || (scale && scale.length !== 2))
      throw new PareError(
        `${at(r.node)}: border needs 4 entries, scale 2; they have ${border.length}, ${scale?.length ?? 0}`,
      );
    return { border, scale };
  },
  axes: "n c s!... -> n c t!...",
  shape: (s) => {
    const x = need(s, 0);
    if (!x.shape) return [x];
    const [n, c, h, w] = x.shape as [Dim, Dim, Dim, Dim];
    if (typeof h !== "number" || typeof w !== "number") {
      const [left, top, right, bottom] = s.a.border as [number, number, number, number];
      const less = (d: Dim, by: number): Dim => (typeof d === "number" ? d - by : by === 0 ? d : "");
      const size = s.a.scale ?? [less(h, top + bottom), less(w, left + right)];
      return [{ type: x.type, shape: [n, c, ...size] }];
    }
    const [top, toH, left, toW] = window(s.node, s.a, h, w);
    return [{ type: x.type, shape: [n, c, toH - top, toW - left] }];
  },
  grad: (g, s) => {
    if (!s.wanted[0] || !s.dy[0]) return [null];
    const [, , h, w] = s.dims(0) as [number, number, number, number];
    const [top, toH, left, toW] = window(s.node, s.a, h, w);
    return [g.op("Pad", [s.dy[0], g.ints([0, 0, top, left, 0, 0, h - toH, w - toW])])];
  },
  quant: withdrawn,
  packs: withdrawn,
  raise: (g, node, _, s) => {
    const a = s?.a as Border | undefined;
    if (!a) throw new PareError(`${at(node)}: needs its site to be raised`);
    const [left, top, right, bottom] = a.border as [number, number, number, number];
    const last = 2 ** 31 - 1;
    const ends = a.scale ? [top + a.scale[0]!, left + a.scale[1]!] : [bottom ? -bottom : last, right ? -right : last];
    g.push(plain(node, "Slice", [node.inputs[0]!, g.ints([top, left]), g.ints(ends), g.ints([2, 3])]));
    return node.outputs;
  },
  rewrite: "none needed",
  fold: none("it works on images"),
});

export const withdrawnOperators: readonly Operator[] = [affine, scaledTanh, parametricSoftplus, imageScaler, crop];
