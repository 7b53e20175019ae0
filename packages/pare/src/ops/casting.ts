/** Operators that hand their input on: Identity, casts, Dropout. */
import { PareError } from "../graph/error.js";
import type { ElementType } from "../graph/graph.js";
import { dataTypeNumber, elementType } from "../graph/tensor.js";
import { unary } from "./elementwise.js";
import { type AttributeReader, awaits, none, type Operator, op } from "./record.js";
import { at, need } from "./site.js";
import { isInteger, numbersOf } from "./values.js";
import { keepsZero } from "./zero.js";

const identity = op({
  type: "Identity",
  moves: "first",
  zero: keepsZero,
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

/** Dropout: ratio is an attribute before opset 12, and `is_test` before opset 7 says whether anything is dropped. */
const dropout = op({
  type: "Dropout",
  zero: keepsZero,
  domain: "",
  attrs: (r) => ({
    ratio: r.opset < 12 ? r.float("ratio", 0.5) : null,
    training: r.opset < 7 && r.int("is_test", 0) === 0,
  }),
  axes: (s) => (s.node.outputs.length > 1 ? "a..., , -> a..., a..." : "a..., , -> a..."),
  shape: (s) => {
    const x = need(s, 0);
    const mask = { type: s.opset < 10 ? x.type : ("bool" as const), shape: x.shape };
    return s.node.outputs.length > 1 ? [x, mask] : [x];
  },
  grad: (g, s) => {
    const nothing = s.inputs.map(() => null);
    const dy = s.dy[0];
    if (!dy || !s.wanted[0]) return nothing;
    const mode = s.inputs[2];
    const modeValue = s.value(2);
    const ratioValue = s.value(1);
    const off =
      !mode || (modeValue && numbersOf(modeValue)?.[0] === 0) || (ratioValue && numbersOf(ratioValue)?.[0] === 0);
    if (off) return [dy, ...nothing.slice(1)];
    const mask = s.outputs[1];
    if (!mask)
      throw new PareError(
        `${at(s.node)}: drops in training, so its gradient needs the mask: give the node a second output`,
      );
    const ratio = s.inputs[1] ? g.cast(s.inputs[1], g.floatType) : g.scalar(0.5);
    const grow = g.op("Div", [g.scalar(1), g.op("Sub", [g.scalar(1), ratio])]);
    const scale = modeValue ? grow : g.op("Where", [mode, grow, g.scalar(1)]);
    const through = g.op("Mul", [g.op("Mul", [dy, g.cast(mask, g.floatType)]), scale]);
    return [through, ...nothing.slice(1)];
  },
  quant: "passes",
  packs: none("does nothing outside training: the packer removes it"),
  raise: (g, node, opset) => {
    if (opset >= 12) return "same";
    const ratio = node.attributes.ratio;
    const value = ratio?.kind === "float" ? ratio.value : 0.5;
    const training =
      opset < 7 && Number(node.attributes.is_test?.kind === "int" ? node.attributes.is_test.value : 0) === 0;
    const inputs = [
      node.inputs[0]!,
      g.constant({ type: "float32", dims: [], bytes: new Uint8Array(Float32Array.of(value).buffer) }),
    ];
    if (training) inputs.push(g.constant({ type: "bool", dims: [], bytes: Uint8Array.of(1) }));
    const mask = node.outputs[1];
    if (!mask || opset >= 10) {
      g.push({ ...node, inputs, attributes: {} });
      return node.outputs;
    }
    // Before opset 10 the mask had the input's type.
    const raw = g.fresh("mask");
    g.push({ ...node, inputs, attributes: {}, outputs: [node.outputs[0]!, raw] });
    g.push({
      ...node,
      op: "CastLike",
      name: `${node.name}/mask`,
      inputs: [raw, node.inputs[0]!],
      outputs: [mask],
      attributes: {},
    });
    return node.outputs;
  },
  rewrite: "none needed",
  fold: none("it stands among activations, not in shape arithmetic"),
});

export const casting: readonly Operator[] = [identity, cast, castLike, dropout];
