/** Operators that write at indices: ScatterElements (and Scatter, its first name), ScatterND. */
import type { Emitter } from "../graph/emit.js";
import { zeros } from "./calculus.js";
import { axisIn } from "./dims.js";
import { shown } from "./lengths.js";
import { reject } from "./move.js";
import type { AttributeReader, GradientSite, Operator, Site } from "./record.js";
import { awaits, none, op } from "./record.js";
import { need } from "./site.js";

interface ScatterAttributes {
  readonly axis: number;
  readonly reduction: string;
}
const attrs = (r: AttributeReader): ScatterAttributes => ({
  axis: r.int("axis", 0),
  reduction: r.string("reduction", "none"),
});
const common = {
  domain: "",
  axes: none("it writes where its data say, so no index may go"),
  quant: "passes" as const,
  packs: awaits("scatter"),
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};

/** d(data) and d(updates): a sum passes to both, a replacement hides the data below it. */
function gradient(
  g: Emitter,
  s: GradientSite<ScatterAttributes>,
  put: (into: string, updates: string) => string,
  look: (from: string) => string,
): (string | null)[] {
  const { reduction } = s.a;
  if (reduction !== "none" && reduction !== "add")
    reject(s.node, `reduction "${reduction}" has no gradient here; "none" and "add" have`);
  const dy = s.dy[0]!;
  const below = () => (reduction === "add" ? dy : put(dy, zeros(g, s.dims(2))));
  return [s.wanted[0] ? below() : null, null, s.wanted[2] ? look(dy) : null];
}

const elements = (type: string, raise: Operator<ScatterAttributes>["raise"]): Operator =>
  op<ScatterAttributes>({
    ...common,
    type,
    attrs,
    shape: (s) => [sameAsData(s)],
    grad: (g, s) => {
      const axis = s.a.axis;
      const index = s.inputs[1]!;
      return gradient(
        g,
        s,
        (into, updates) => g.op("ScatterElements", [into, index, updates], { axis }),
        (from) => g.op("GatherElements", [from, index], { axis }),
      );
    },
    raise,
  });
function sameAsData(s: Site<ScatterAttributes>) {
  const [x, index, updates] = [need(s, 0), need(s, 1).shape, need(s, 2).shape];
  if (x.shape) axisIn(s.node, s.a.axis, x.shape.length);
  if (index && updates && index.length !== updates.length)
    reject(s.node, `indices ${shown(index)} and updates ${shown(updates)} should have one shape`);
  return { type: x.type, shape: x.shape };
}

const ScatterND = op<ScatterAttributes>({
  ...common,
  type: "ScatterND",
  attrs,
  shape: (s) => {
    const [x, index] = [need(s, 0), need(s, 1).shape];
    const depth = index?.at(-1);
    if (x.shape && typeof depth === "number" && depth > x.shape.length)
      reject(s.node, `indices ${shown(index ?? null)} reach past x ${shown(x.shape)}`);
    return [{ type: x.type, shape: x.shape }];
  },
  grad: (g, s) =>
    gradient(
      g,
      s,
      (into, updates) => g.op("ScatterND", [into, s.inputs[1]!, updates]),
      (from) => g.op("GatherND", [from, s.inputs[1]!]),
    ),
  raise: "same",
});

export const scatters: readonly Operator[] = [
  elements("ScatterElements", "same"),
  elements("Scatter", (g, n) => {
    g.push({ ...n, op: "ScatterElements" });
    return n.outputs;
  }),
  ScatterND,
];
