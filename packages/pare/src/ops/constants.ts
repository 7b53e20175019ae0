/** Operators that make tensors out of attributes and shapes: Constant, ConstantOfShape, Shape, Size, Range, EyeLike. */
import type { Dim, ElementType, Node, Tensor } from "../graph/graph.js";
import { elementType, floats, int64s, sizeOf } from "../graph/tensor.js";
import { isFixed } from "./dims.js";
import { ranked, shown } from "./lengths.js";
import { foldable, letters, reject, unknownRank, yDims } from "./move.js";
import type { Operator } from "./record.js";
import { awaits, none, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, numbersOf, tensorOf } from "./values.js";

const common = {
  domain: "",
  quant: none("no weights and no arithmetic"),
  packs: awaits("constant"),
  raise: "same" as const,
  rewrite: "none needed" as const,
};
const fromShape = none("its output depends on shapes alone");

/** The tensor that a Constant node holds, whatever attribute it is written in; null for sparse ones. */
export function constantTensor(n: Node): Tensor | null {
  const { value, value_float, value_floats, value_int, value_ints, value_string, value_strings } = n.attributes;
  const utf8 = new TextEncoder();
  const strings = (list: readonly string[], dims: readonly number[]): Tensor => ({
    type: "string",
    dims,
    bytes: new Uint8Array(),
    strings: list.map((v) => utf8.encode(v)),
  });
  if (value?.kind === "tensor") return value.value;
  if (value_float?.kind === "float") return floats([value_float.value], []);
  if (value_floats?.kind === "floats") return floats(value_floats.value, [value_floats.value.length]);
  if (value_int?.kind === "int") return int64s([value_int.value], []);
  if (value_ints?.kind === "ints") return int64s(value_ints.value);
  if (value_string?.kind === "string") return strings([value_string.value], []);
  if (value_strings?.kind === "strings") return strings(value_strings.value, [value_strings.value.length]);
  return null;
}

const Constant = op<{ tensor: Tensor | null }>({
  ...common,
  type: "Constant",
  attrs: (r) => ({ tensor: constantTensor(r.node) }),
  axes: (s) => (s.a.tensor ? ` -> ${letters(s.a.tensor.dims, (d) => `a${d}`)}` : none("a sparse constant")),
  shape: (s) => [s.a.tensor ? { type: s.a.tensor.type, shape: s.a.tensor.dims } : null],
  grad: none("a constant has no inputs"),
  fold: (s) => [s.a.tensor],
});

const ConstantOfShape = op<{ value: Tensor | null }>({
  ...common,
  type: "ConstantOfShape",
  zero: (_, s) => (s.a.value ? numbersOf(s.a.value)?.[0] === 0 : true),
  attrs: (r) => ({ value: r.tensor("value") }),
  axes: (s) => (s.y[0]?.shape ? ` -> ${letters(s.y[0].shape, (d) => `a${d}`)}` : unknownRank),
  shape: (s) => {
    const type = s.a.value?.type ?? "float32";
    const dims = intsOf(s.value(0)) ?? s.lengths?.(0);
    if (dims?.some((d) => typeof d === "number" && d < 0)) reject(s.node, `shape [${dims}] has a negative length`);
    return [{ type, shape: dims ?? ranked(need(s, 0).shape?.[0]) }];
  },
  grad: fromShape,
  rewrite: (s, kept) => {
    const [old, y] = [intsOf(s.value(0)), kept.y[0]];
    return old && y ? { inputs: { 0: tensorOf("int64", [y.length], y)! } } : {};
  },
  fold: (s) => {
    const dims = yDims(s);
    const fill = s.a.value ? numbersOf(s.a.value) : [0];
    if (!dims || !fill || !foldable(dims)) return null;
    return [tensorOf(s.a.value?.type ?? "float32", dims, Array(sizeOf(dims)).fill(fill[0] ?? 0))];
  },
});

const Shape = op<{ start: number; end: number | null }>({
  ...common,
  type: "Shape",
  attrs: (r) => ({ start: r.int("start", 0), end: r.has("end") ? r.int("end") : null }),
  // Counts are shape arithmetic: whoever is cut has its readers' constants rewritten.
  axes: (s) => {
    const [x, y] = [s.x[0]?.shape, s.y[0]?.shape];
    return x && y ? `${letters(x, (d) => `a${d}`)} -> n!` : unknownRank;
  },
  shape: (s) => {
    const x = need(s, 0).shape;
    return [{ type: "int64", shape: x ? [x.slice(s.a.start, s.a.end ?? x.length).length] : [""] }];
  },
  grad: fromShape,
  lengths: (s) => s.x[0]?.shape?.slice(s.a.start, s.a.end ?? s.x[0].shape.length) ?? null,
  fold: (s) => {
    const x = s.x[0]?.shape;
    const part = x?.slice(s.a.start, s.a.end ?? x.length) ?? null;
    return isFixed(part) ? [tensorOf("int64", [part.length], part)] : null;
  },
});

const Size = op({
  ...common,
  type: "Size",
  attrs: () => ({}),
  axes: (s) => (s.x[0]?.shape ? `${letters(s.x[0].shape, (d) => `a${d}`)} -> ` : unknownRank),
  shape: () => [{ type: "int64", shape: [] }],
  grad: fromShape,
  fold: (s) => {
    const x = s.x[0]?.shape ?? null;
    return isFixed(x) ? [tensorOf("int64", [], [sizeOf(x)])] : null;
  },
});

const Range = op({
  ...common,
  type: "Range",
  attrs: () => ({}),
  axes: "-> n!",
  shape: (s) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => (s.value(i) ? numbersOf(s.value(i)!)?.[0] : undefined));
    const { type } = need(s, 0);
    if (start === undefined || limit === undefined || delta === undefined) return [{ type, shape: [""] }];
    if (delta === 0) reject(s.node, "a step of 0");
    return [{ type, shape: [Math.max(0, Math.ceil((limit - start) / delta))] }];
  },
  grad: none("its output is a count"),
  fold: (s) => {
    const dims = yDims(s);
    const [start, , delta] = [0, 1, 2].map((i) => (s.value(i) ? numbersOf(s.value(i)!)?.[0] : undefined));
    if (!dims || start === undefined || delta === undefined || !foldable(dims)) return null;
    return [
      tensorOf(
        need(s, 0).type,
        dims,
        Array.from({ length: dims[0]! }, (_, k) => start + k * delta),
      ),
    ];
  },
});

const EyeLike = op<{ type: ElementType | null; k: number }>({
  ...common,
  type: "EyeLike",
  attrs: (r) => ({ type: r.has("dtype") ? elementType(r.int("dtype")) : null, k: r.int("k", 0) }),
  axes: "a! b! -> a! b!",
  shape: (s) => {
    const x = need(s, 0);
    if (x.shape && x.shape.length !== 2) reject(s.node, `x ${shown(x.shape)} should be a matrix`);
    return [{ type: s.a.type ?? x.type, shape: x.shape ?? (["", ""] as Dim[]) }];
  },
  grad: fromShape,
  fold: none("not shape arithmetic"),
});

export const constants: readonly Operator[] = [Constant, ConstantOfShape, Shape, Size, Range, EyeLike];
