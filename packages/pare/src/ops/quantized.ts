/** Operators on quantized tensors: QuantizeLinear, DequantizeLinear, and contractions of integers. */
import type { ElementType, ValueType } from "../graph/graph.js";
import { elementType } from "../graph/tensor.js";
import { contractions } from "./contractions.js";
import { convolutions } from "./convolution.js";
import { axisIn } from "./dims.js";
import { letters, reject, unknownRank } from "./move.js";
import type { AttributeReader, Axes, AxesSpec, None, Operator, Site } from "./record.js";
import { awaits, isNone, none, op } from "./record.js";
import { need } from "./site.js";

const rounds = none("rounding has slope zero; straight-through estimators belong to the method that trains with them");
const already = none("it is quantized already");
const common = {
  domain: "",
  quant: already,
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};

interface ScaleAttributes {
  readonly axis: number;
  readonly block: number;
  readonly type: ElementType | null;
}
const scaleAttributes = (r: AttributeReader): ScaleAttributes => ({
  axis: r.int("axis", 1),
  block: r.int("block_size", 0),
  type: r.has("output_dtype") && r.int("output_dtype") !== 0 ? elementType(r.int("output_dtype")) : null,
});
/** One scale, one per index of an axis, or one per block along it. */
function scaled(s: Site<ScaleAttributes>): string | None {
  const [x, scale] = [s.x[0]?.shape, s.x[1]?.shape];
  if (!x || !scale) return unknownRank;
  const all = letters(x, (d) => `a${d}`);
  if (scale.length === 0 || (scale.length === 1 && scale[0] === 1)) return `${all}, , -> ${all}`;
  const axis = axisIn(s.node, s.a.axis, x.length);
  if (scale.length === 1) return `${all}, a${axis}, a${axis} -> ${all}`;
  const held = letters(x, (d) => `a${d}${d === axis ? "!" : ""}`);
  const blocks = letters(x, (d) => (d === axis ? "b!" : `a${d}`));
  return `${held}, ${blocks}, ${blocks} -> ${held}`;
}

const QuantizeLinear = op<ScaleAttributes>({
  ...common,
  type: "QuantizeLinear",
  untrained: [1, 2],
  attrs: scaleAttributes,
  axes: scaled,
  shape: (s) => [{ type: s.x[2]?.type ?? s.a.type ?? "uint8", shape: need(s, 0).shape }],
  grad: rounds,
  packs: awaits("quantize"),
});
const DequantizeLinear = op<ScaleAttributes>({
  ...common,
  type: "DequantizeLinear",
  untrained: [1, 2],
  attrs: scaleAttributes,
  axes: scaled,
  shape: (s) => [{ type: s.a.type ?? need(s, 1).type, shape: need(s, 0).shape }],
  grad: none("its input is integers; a method that trains scales emits the product itself"),
  packs: awaits("dequantize"),
});
const DynamicQuantizeLinear = op({
  ...common,
  type: "DynamicQuantizeLinear",
  attrs: () => ({}),
  axes: "a~... -> a..., , ",
  shape: (s) => [
    { type: "uint8", shape: need(s, 0).shape },
    { type: "float32", shape: [] },
    { type: "uint8", shape: [] },
  ],
  grad: rounds,
  packs: awaits("quantize"),
});

/** A contraction of integers: the float operator's record, asked about inputs `a` and `b` of this one. */
function integer(
  type: string,
  plain: Operator,
  at: { readonly a: number; readonly b: number; readonly bias?: number; readonly zero?: number; readonly y?: number },
): Operator {
  const inner = (s: Site): Site => ({ ...s, x: [s.x[at.a] ?? null, s.x[at.b] ?? null], value: () => null });
  return op<unknown>({
    ...common,
    type,
    untrained: [1, 2, 3, 4, 5, 6, 7].filter((i) => i !== at.b),
    attrs: plain.attrs,
    axes: (s) => spread(plain.axes, inner(s), s, at),
    shape: (s) => {
      const [y] = plain.shape(inner(s));
      const element: ElementType = at.y === undefined ? "int32" : need(s, at.y).type;
      return [y ? { ...y, type: element } : null] as (ValueType | null)[];
    },
    grad: rounds,
    quant: "weights",
    packs: awaits(type.toLowerCase()),
    rewrite:
      plain.rewrite === "none needed"
        ? "none needed"
        : (s, kept) =>
            (plain.rewrite as Exclude<Operator["rewrite"], string>)(inner(s), {
              ...kept,
              x: [kept.x[at.a] ?? null, kept.x[at.b] ?? null],
              has: (i, d, k) => kept.has(i === 0 ? at.a : at.b, d, k),
              before: (i, d, k) => kept.before(i === 0 ? at.a : at.b, d, k),
            }),
  });
}
/** The float operator's text with scales and zero points between its terms. */
function spread(
  axes: Axes<unknown>,
  inner: Site,
  s: Site,
  at: { readonly a: number; readonly b: number; readonly bias?: number },
): string | AxesSpec | None {
  const found = typeof axes === "function" ? axes(inner) : axes;
  const spec = typeof found === "string" ? { text: found } : found;
  if (isNone(spec)) return spec;
  if (!("text" in spec)) return reject(s.node, "its float twin picks indices");
  const [left, right] = spec.text.split("->") as [string, string];
  const terms = left.split(",").map((t) => t.trim());
  const outer = (terms[1]!.match(/\([^)]*\)|\S+/g) ?? [])[at.bias === undefined ? 1 : 0] ?? "";
  const out = s.x.map((x, i) => {
    if (i === at.a) return terms[0]!;
    if (i === at.b) return terms[1]!;
    if (i === at.bias) return terms[2] ?? "";
    // One scale or zero point per output channel of the weight.
    return i > at.b && x?.shape?.length === 1 && x.shape[0] !== 1 ? outer : "";
  });
  return { ...spec, text: `${out.join(", ")} -> ${right.trim()}` };
}

const conv = convolutions.find((o) => o.type === "Conv")!;
const matmul = contractions.find((o) => o.type === "MatMul")!;

export const quantized: readonly Operator[] = [
  QuantizeLinear,
  DequantizeLinear,
  DynamicQuantizeLinear,
  integer("QLinearConv", conv, { a: 0, b: 3, bias: 8, y: 7 }),
  integer("QLinearMatMul", matmul, { a: 0, b: 3, y: 7 }),
  integer("ConvInteger", conv, { a: 0, b: 1, bias: -1 }),
  integer("MatMulInteger", matmul, { a: 0, b: 1 }),
];
