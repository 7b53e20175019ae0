/** Recurrent layers: LSTM, GRU, RNN. */
import type { Dim, Shape } from "../graph/graph.js";
import { sameDim } from "./dims.js";
import { shown } from "./lengths.js";
import { reject } from "./move.js";
import type { AttributeReader, Operator, Site } from "./record.js";
import { awaits, none, op } from "./record.js";
import { type RecurrentAttributes, recurrentGradient } from "./recurrent-gradient.js";
import { need } from "./site.js";

/** x [t n i], W [d (gates h) i], R [d (gates h) h], B [d (2 gates h)] -> Y [t d n h], the last states [d n h]. */
const recurrent = (type: string, gates: number, states: number): Operator =>
  op<RecurrentAttributes>({
    type,
    domain: "",
    // Gates of zero weights are halves, and what they let through is zero.
    zero: (z) => z[1] === true && z.slice(2).every((v) => v === true || v === undefined),
    attrs: (r) => ({
      direction: r.string("direction", "forward"),
      hidden: r.has("hidden_size") ? r.int("hidden_size") : null,
      layout: r.int("layout", 0),
      activations: stringsOf(r),
      linearBeforeReset: r.int("linear_before_reset", 0) !== 0,
      clip: r.has("clip"),
      inputForget: r.int("input_forget", 0) !== 0,
    }),
    axes: (s) => {
      const rows = gates === 1 ? "h" : `(${gates} h)`;
      const [x, y, last] = s.a.layout ? ["n t! i", "n t! d! h", "n d! h"] : ["t! n i", "t! d! n h", "d! n h"];
      return `${x}, d! ${rows} i, d! ${rows} h, d! (${2 * gates} h), , ${last}, ${last}, d! (3 h) -> ${[y, ...Array(states).fill(last)].join(", ")}`;
    },
    shape: (s) => {
      const { type: element, shape: x } = need(s, 0);
      if (x && x.length !== 3) reject(s.node, `x ${shown(x)} should be ${s.a.layout ? "[n, t, i]" : "[t, n, i]"}`);
      const [t, n] = !x ? ["", ""] : s.a.layout ? [x[1]!, x[0]!] : [x[0]!, x[1]!];
      const d: Dim = s.a.direction === "bidirectional" ? 2 : 1;
      const h = hiddenOf(s, gates, x?.[2] ?? "", d);
      const y: Shape = s.a.layout ? [n, t, d, h] : [t, d, n, h];
      const last: Shape = s.a.layout ? [n, d, h] : [d, n, h];
      return [y, ...Array<Shape>(states).fill(last)].map((shape) => ({ type: element, shape }));
    },
    grad: (g, s) => recurrentGradient(g, s, gates),
    quant: "weights",
    packs: awaits("recurrent"),
    // Opset 7 dropped output_sequence, which said that Y may be left out; opset 14 added layout.
    raise: (g, n, opset) => {
      if (opset >= 7 || !("output_sequence" in n.attributes)) return "same";
      const { output_sequence: _, ...attributes } = n.attributes;
      g.push({ ...n, attributes });
      return n.outputs;
    },
    rewrite: (_, kept) => {
      const h = kept.x[2]?.[2];
      return h === undefined ? {} : { attributes: { hidden_size: { kind: "int", value: h } } };
    },
    fold: none("not shape arithmetic"),
  });

const stringsOf = (r: AttributeReader): readonly string[] | null => {
  const a = r.raw("activations");
  return a?.kind === "strings" ? a.value : null;
};

/** The hidden size, and that x, W and R fit together. */
function hiddenOf(s: Site<RecurrentAttributes>, gates: number, inputs: Dim, directions: number): Dim {
  const [w, r] = [need(s, 1).shape, need(s, 2).shape];
  for (const [name, shape] of [["W", w] as const, ["R", r] as const])
    if (shape && shape.length !== 3) reject(s.node, `${name} ${shown(shape)} should have 3 axes`);
  if (w) {
    sameDim(s.node, w[0]!, directions, `W ${shown(w)}: directions`);
    sameDim(s.node, w[2]!, inputs, `W ${shown(w)}: length of x's last axis`);
  }
  const h = sameDim(s.node, s.a.hidden ?? "", r?.[2] ?? "", `R ${shown(r)}: hidden_size`);
  if (typeof h === "number")
    for (const [name, shape] of [["W", w] as const, ["R", r] as const])
      if (shape) sameDim(s.node, shape[1]!, gates * h, `${name} ${shown(shape)}: ${gates} gates of ${h}`);
  return h;
}

export const recurrents: readonly Operator[] = [
  recurrent("LSTM", 4, 2),
  recurrent("GRU", 3, 1),
  recurrent("RNN", 1, 1),
];
