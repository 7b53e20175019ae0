/** Operators that hand their input on: Identity and casts. */
import { PareError } from "../graph/error.js";
import type { ElementType } from "../graph/graph.js";
import { dataTypeNumber, elementType } from "../graph/tensor.js";
import { dropout } from "./dropout.js";
import { unary } from "./elementwise.js";
import { type AttributeReader, awaits, none, type Operator, ofFirst, op } from "./record.js";
import { at, need } from "./site.js";
import { isInteger } from "./values.js";
import { keepsZero } from "./zero.js";

const identity = op({
  type: "Identity",
  moves: "first",
  zero: keepsZero,
  homogeneous: ofFirst,
  domain: "",
  attrs: () => ({}),
  axes: "a... -> a...",
  shape: (s) => [need(s, 0)],
  grad: (_, s) => [s.wanted[0] ? (s.dy[0] ?? null) : null],
  quant: "passes",
  packs: none("the packer removes it"),
  raise: "same",
  rewrite: "none needed",
  fold: (s) => [s.value(0)],
});

/** Before version 6 the type was a string. */
function targetOf(r: AttributeReader): { to: ElementType } {
  const named = r.opset < 6 && r.raw("to")?.kind === "string";
  const names: Record<string, ElementType> = { FLOAT: "float32", DOUBLE: "float64" };
  const to = named
    ? (names[r.string("to").toUpperCase()] ?? (r.string("to").toLowerCase() as ElementType))
    : elementType(r.int("to"));
  if (!to || dataTypeNumber(to) < 1)
    throw new PareError(`${at(r.node)}: attribute "to" names no element type that Pare knows`);
  return { to };
}
const castTo = (x: number, to: ElementType): number => {
  if (to === "bool") return x ? 1 : 0;
  return isInteger(to) ? Math.trunc(x) : to === "float32" ? Math.fround(x) : x;
};

const cast = unary<{ to: ElementType }>("Cast", {
  moves: "first",
  zero: true,
  attrs: targetOf,
  type: (_, a) => a.to,
  grad: (g, { dy }, _, s) => g.cast(dy, need(s, 0).type),
  quant: "passes",
  raise: (g, node, opset, s) => {
    const to = node.attributes.to;
    if (opset >= 6 || to?.kind !== "string") return "same";
    const type = s ? (s.a as { to: ElementType }).to : null;
    if (!type) throw new PareError(`${at(node)}: the type "${to.value}" needs its site to be raised`);
    g.push({ ...node, attributes: { to: { kind: "int", value: dataTypeNumber(type) } } });
    return node.outputs;
  },
  fold: (x, a) => castTo(x, a.to),
});

const castLike = op({
  type: "CastLike",
  zero: keepsZero,
  domain: "",
  attrs: () => ({}),
  axes: "a..., -> a...",
  shape: (s) => [{ type: need(s, 1).type, shape: need(s, 0).shape }],
  grad: (g, s) => {
    const dy = s.dy[0];
    return [s.wanted[0] && dy ? g.op("CastLike", [dy, s.inputs[0]!]) : null, null];
  },
  quant: "passes",
  packs: awaits("cast"),
  raise: "same",
  rewrite: "none needed",
  fold: none("Cast covers shape arithmetic"),
});

export const casting: readonly Operator[] = [identity, cast, castLike, dropout];
