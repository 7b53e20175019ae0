/** Dropout: the identity, but for training. */
import { PareError } from "../graph/error.js";
import type { Node } from "../graph/graph.js";
import { none, ofFirst, op, type TrainingSite } from "./record.js";
import { at, need } from "./site.js";
import { numbersOf } from "./values.js";
import { keepsZero } from "./zero.js";

/** Dropout: ratio is an attribute before opset 12, and `is_test` before opset 7 says whether anything is dropped. */
export const dropout = op({
  type: "Dropout",
  zero: keepsZero,
  homogeneous: (s) => (s.node.outputs[1] ? null : ofFirst),
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
  train,
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

/** A multiplication by a mask that is fed. Throws for a ratio outside [0, 1). */
function train(node: Node, t: TrainingSite): void {
  const { g } = t;
  const chosen = t.chosenRatio();
  const [x, ratioName] = node.inputs as [string, string | undefined];
  const [y, mask] = node.outputs as [string, string | undefined];
  if (mask) throw new PareError(`${at(node)}: training a graph that reads a Dropout's mask is not supported`);
  const stored = ratioName ? t.initializers.get(ratioName) : null;
  if (ratioName && !stored && chosen === undefined)
    throw new PareError(`${at(node)}: its ratio is computed; give one by the option dropout`);
  const ratio = chosen ?? (stored ? numbersOf(stored)![0]! : 0.5);
  if (!(ratio >= 0 && ratio < 1)) throw new PareError(`${at(node)}: ratio ${ratio} is outside [0, 1)`, "usage");
  if (ratio === 0) {
    g.push({ ...node, op: "Identity", inputs: [x], outputs: [y], attributes: {} });
    return;
  }
  const input = g.fresh("dropout_mask");
  t.drop({ input, of: x, ratio });
  g.push({ ...node, op: "Mul", inputs: [x, input], outputs: [y], attributes: {} });
}
