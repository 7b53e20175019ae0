/** Circular and hyperbolic functions and their inverses. */
import type { Emitter } from "../graph/emit.js";
import { type Flow, unary } from "./elementwise.js";
import type { Operator } from "./record.js";

const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);
const div = (g: Emitter, a: string, b: string): string => g.op("Div", [a, b]);
const square = (g: Emitter, x: string): string => mul(g, x, x);
const plus = (g: Emitter, x: string, c: number): string => g.op("Add", [x, g.scalar(c)]);
const minusFrom = (g: Emitter, c: number, x: string): string => g.op("Sub", [g.scalar(c), x]);
const root = (g: Emitter, x: string): string => g.op("Sqrt", [x]);
const neg = (g: Emitter, x: string): string => g.op("Neg", [x]);

const slopes: Record<string, (g: Emitter, f: Flow) => string> = {
  Sin: (g, { x, dy }) => mul(g, dy, g.op("Cos", [x])),
  Cos: (g, { x, dy }) => neg(g, mul(g, dy, g.op("Sin", [x]))),
  Tan: (g, { y, dy }) => mul(g, dy, plus(g, square(g, y), 1)),
  Asin: (g, { x, dy }) => div(g, dy, root(g, minusFrom(g, 1, square(g, x)))),
  Acos: (g, { x, dy }) => neg(g, div(g, dy, root(g, minusFrom(g, 1, square(g, x))))),
  Atan: (g, { x, dy }) => div(g, dy, plus(g, square(g, x), 1)),
  Sinh: (g, { x, dy }) => mul(g, dy, g.op("Cosh", [x])),
  Cosh: (g, { x, dy }) => mul(g, dy, g.op("Sinh", [x])),
  Asinh: (g, { x, dy }) => div(g, dy, root(g, plus(g, square(g, x), 1))),
  Acosh: (g, { x, dy }) => div(g, dy, root(g, plus(g, square(g, x), -1))),
  Atanh: (g, { x, dy }) => div(g, dy, minusFrom(g, 1, square(g, x))),
};

export const trigonometry: readonly Operator[] = Object.entries(slopes).map(([type, grad]) =>
  unary(type, { zero: /^A?(sin|tan)h?$/i.test(type), grad, quant: "arithmetic" }),
);
