/** Operators that work element by element stay in blocks where their input is blocked already. */
import type { Node } from "../../graph/graph.js";
import { sizeOf } from "../../graph/tensor.js";
import type { Image, Layout, Maker } from "./layout.js";

/** Finite at 0, which is what a padding channel may hold. */
const unary = [
  "Abs",
  "Clip",
  "Elu",
  "Erf",
  "Exp",
  "Gelu",
  "HardSigmoid",
  "HardSwish",
  "Identity",
  "LeakyRelu",
  "Mish",
  "Neg",
];
const moreUnary = ["Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Tanh", "Cos", "Sin"];
const many = ["Add", "Sub", "Mul", "Max", "Min", "Sum"];
export const elementwiseOps: readonly string[] = [...unary, ...moreUnary, ...many];

export function elementwise(l: Layout, node: Node): boolean {
  const y = node.outputs[0]!;
  const out = l.image(y);
  if (!out || !node.inputs.some((name) => l.isBlocked(name))) return false;
  const isScalar = (name: string) => name === "" || sizeOf(l.dims(name) ?? [0]) === 1;
  const same = (name: string) => l.image(name)?.every((d, i) => d === out[i]) === true;
  if (node.op === "Add" && node.inputs.every(same)) return add(l, node.inputs[0]!, node.inputs[1]!, y);
  if (node.inputs.every((name) => same(name) || isScalar(name))) {
    l.define(y, () => {
      const inputs = node.inputs.map((name) => (same(name) ? l.blocked(name) : l.plain(name)));
      return l.g.op(node.op, inputs, node.attributes);
    });
    return true;
  }
  if (!node.inputs.every((name) => same(name) || isScalar(name) || l.image(name)?.[1] === out[1])) return false;
  l.define(y, () => {
    const B = l.block;
    const split = ([n, c, h, w]: Image) => [n, l.pad(c) / B, h, w, B];
    const inputs = node.inputs.map((name) => {
      const image = l.image(name);
      return image?.[1] === out[1] && !isScalar(name) ? l.g.reshape(l.blocked(name), split(image)) : l.plain(name);
    });
    return l.g.reshape(l.g.op(node.op, inputs, node.attributes), [out[0], l.pad(out[1]), out[2], out[3]]);
  });
  return true;
}

/** a + b: phase by phase where both are in phases, in a convolution's Sum where one is not made yet. */
function add(l: Layout, a: string, b: string, y: string): boolean {
  const [pa, pb] = [l.phasesOf(a), l.phasesOf(b)];
  if (pa && pb && pa.stride.every((s, i) => s === pb.stride[i])) {
    const both = (p: Maker | null, q: Maker | null): Maker | null => (p && q ? () => p({ sum: q({}) }) : (p ?? q));
    l.setPhases(y, { ...pa, parts: pa.parts.map((row, i) => row.map((p, j) => both(p, pb.parts[i]![j]!))) });
    return true;
  }
  const [ma, mb] = [l.fusible(a, "sum"), l.fusible(b, "sum")];
  if (ma) l.define(y, ({ relu }) => ma({ sum: l.blocked(b), ...(relu ? { relu } : {}) }), "relu");
  else if (mb) l.define(y, ({ relu }) => mb({ sum: l.blocked(a), ...(relu ? { relu } : {}) }), "relu");
  else l.define(y, () => l.g.op("Add", [l.blocked(a), l.blocked(b)]));
  return true;
}

/** Relu(x), done by x's maker where x is not needed otherwise. */
export function relu(l: Layout, node: Node): boolean {
  const maker = l.fusible(node.inputs[0]!, "relu");
  if (!maker) return elementwise(l, node);
  l.define(node.outputs[0]!, () => maker({ relu: true }));
  return true;
}

/** ReluGrad(dy, y) = dy where y > 0: a product with HardSigmoid(3e38 y), which is 1 above 3e-39 and 0 at 0. */
export function reluGrad(l: Layout, node: Node): boolean {
  const [dy, y] = node.inputs as [string, string];
  const dx = node.outputs[0]!;
  if (!l.image(dx) || !(l.isBlocked(dy) || l.isBlocked(y))) return false;
  l.define(dx, () => {
    const mask = l.once(`positive ${y}`, () =>
      l.g.op("HardSigmoid", [l.blocked(y)], { alpha: { float: 3e38 }, beta: { float: 0 } }),
    );
    return l.g.op("Mul", [l.blocked(dy), mask]);
  });
  return true;
}
