/** Smooth functions of one input: sigmoids, exponentials, roots, Gelu and its kin. */
import type { Emitter } from "../graph/emit.js";
import { times } from "./calculus.js";
import { unary } from "./elementwise.js";
import type { Operator } from "./record.js";

const mul = (g: Emitter, ...x: string[]): string => x.reduce((a, b) => g.op("Mul", [a, b]));
const oneMinus = (g: Emitter, x: string): string => g.op("Sub", [g.scalar(1), x]);
const square = (g: Emitter, x: string): string => g.op("Mul", [x, x]);

const sigmoid = unary("Sigmoid", {
  grad: (g, { y, dy }) => mul(g, dy, y, oneMinus(g, y)),
  quant: "arithmetic",
});
const tanh = unary("Tanh", {
  zero: true,
  grad: (g, { y, dy }) => mul(g, dy, oneMinus(g, square(g, y))),
  quant: "arithmetic",
});
const erf = unary("Erf", {
  zero: true,
  grad: (g, { x, dy }) => mul(g, dy, times(g, g.op("Exp", [g.op("Neg", [square(g, x)])]), 2 / Math.sqrt(Math.PI))),
  quant: "arithmetic",
});
const exp = unary("Exp", { grad: (g, { y, dy }) => mul(g, dy, y), quant: "arithmetic" });
const log = unary("Log", { grad: (g, { x, dy }) => g.op("Div", [dy, x]), quant: "arithmetic" });
const sqrt = unary("Sqrt", {
  zero: true,
  grad: (g, { y, dy }) => g.op("Div", [times(g, dy, 0.5), y]),
  quant: "arithmetic",
  fold: (x) => Math.sqrt(x),
});
const reciprocal = unary("Reciprocal", {
  grad: (g, { y, dy }) => g.op("Neg", [mul(g, dy, square(g, y))]),
  quant: "arithmetic",
  fold: (x) => 1 / x,
});
const softplus = unary("Softplus", {
  grad: (g, { x, dy }) => mul(g, dy, g.op("Sigmoid", [x])),
  quant: "arithmetic",
});
const softsign = unary("Softsign", {
  zero: true,
  grad: (g, { x, dy }) => g.op("Div", [dy, square(g, g.op("Add", [g.op("Abs", [x]), g.scalar(1)]))]),
  quant: "arithmetic",
});
const mish = unary("Mish", {
  zero: true,
  grad: (g, { x, dy }) => {
    const t = g.op("Tanh", [g.op("Softplus", [x])]);
    const slope = mul(g, x, oneMinus(g, square(g, t)), g.op("Sigmoid", [x]));
    return mul(g, dy, g.op("Add", [t, slope]));
  },
  quant: "arithmetic",
});
const swish = unary("Swish", {
  zero: true,
  attrs: (r) => ({ alpha: r.float("alpha", 1) }),
  grad: (g, { x, dy }, { alpha }) => {
    const sig = g.op("Sigmoid", [times(g, x, alpha)]);
    return mul(g, dy, g.op("Add", [sig, times(g, mul(g, x, sig, oneMinus(g, sig)), alpha)]));
  },
  quant: "arithmetic",
});

/** 0.5 x (1 + erf(x / sqrt 2)), or its tanh approximation. */
const gelu = unary("Gelu", {
  zero: true,
  attrs: (r) => ({ tanh: r.string("approximate", "none") === "tanh" }),
  grad: (g, { x, dy }, a) => mul(g, dy, a.tanh ? geluTanhSlope(g, x) : geluSlope(g, x)),
  quant: "arithmetic",
});
function geluSlope(g: Emitter, x: string): string {
  const area = times(g, g.op("Add", [g.op("Erf", [times(g, x, Math.SQRT1_2)]), g.scalar(1)]), 0.5);
  const density = times(g, g.op("Exp", [times(g, square(g, x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));
  return g.op("Add", [area, mul(g, x, density)]);
}
function geluTanhSlope(g: Emitter, x: string): string {
  const [k, c] = [Math.sqrt(2 / Math.PI), 0.044715];
  const x2 = square(g, x);
  const inner = times(g, mul(g, x, g.op("Add", [times(g, x2, c), g.scalar(1)])), k);
  const t = g.op("Tanh", [inner]);
  const innerSlope = times(g, g.op("Add", [times(g, x2, 3 * c), g.scalar(1)]), k);
  const left = times(g, g.op("Add", [t, g.scalar(1)]), 0.5);
  return g.op("Add", [left, times(g, mul(g, x, oneMinus(g, square(g, t)), innerSlope), 0.5)]);
}

export const smooth: readonly Operator[] = [
  sigmoid,
  tanh,
  erf,
  exp,
  log,
  sqrt,
  reciprocal,
  softplus,
  softsign,
  mish,
  swish,
  gelu,
];
