/** Arithmetic with broadcasting, and its one-input companions. */
import type { Emitter } from "../graph/emit.js";
import type { ElementType } from "../graph/graph.js";
import { times } from "./calculus.js";
import { broadcasting, inexact, type Names, unary } from "./elementwise.js";
import { type GradientSite, none, type Operator, ofAll, ofFirst } from "./record.js";
import { isInteger, numbersOf } from "./values.js";
import { allZero, anyZero, keepsZero } from "./zero.js";

/** Rounds an exact result to what the type holds, so that folding repeats the kernel's arithmetic. */
const settle = (value: number, type: ElementType): number => (type === "float32" ? Math.fround(value) : value);

const add = broadcasting("Add", {
  sums: true,
  zero: allZero,
  homogeneous: ofAll,
  grad: (_, _i, { dy }) => dy,
  quant: "arithmetic",
  fold: ([a, b], _, t) => settle(a! + b!, t),
});
const sub = broadcasting("Sub", {
  zero: allZero,
  homogeneous: ofAll,
  grad: (g, i, { dy }) => (i === 0 ? dy : g.op("Neg", [dy])),
  quant: "arithmetic",
  fold: ([a, b], _, t) => settle(a! - b!, t),
});
const mul = broadcasting("Mul", {
  zero: anyZero,
  homogeneous: [[0], [1]],
  grad: (g, i, { x, dy }) => g.op("Mul", [dy, x[1 - i]!]),
  quant: "arithmetic",
  fold: ([a, b], _, t) => settle(a! * b!, t),
});
const div = broadcasting("Div", {
  zero: keepsZero,
  homogeneous: ofFirst,
  grad: (g, i, { x, y, dy }) => {
    const over = g.op("Div", [dy, x[1]!]);
    return i === 0 ? over : g.op("Neg", [g.op("Mul", [over, y])]);
  },
  quant: "arithmetic",
  // A division by zero of integers has no value: NaN is refused by tensorOf.
  fold: ([a, b], _, t) => (isInteger(t) ? Math.trunc(a! / b!) : settle(a! / b!, t)),
});

/** x^p. Where p is one known number the gradient needs no logarithm and no division. */
const pow = broadcasting("Pow", {
  zero: (z, s) => z[0] === true && (s.value(1) ? (numbersOf(s.value(1)!)?.every((p) => p > 0) ?? false) : false),
  grad: (g, i, f, _, s) => (i === 0 ? powerOfBase(g, f, s) : powerOfExponent(g, f)),
  quant: "arithmetic",
  fold: inexact,
});
function powerOfBase(g: Emitter, { x: [x, p], dy }: Names, s: GradientSite): string {
  const constant = s.value(1);
  const values = constant ? numbersOf(constant) : null;
  if (values?.length === 1) {
    const power = values[0]!;
    if (power === 1) return dy;
    if (power === 2) return times(g, g.op("Mul", [dy, x!]), 2);
    if (power === 0) return times(g, dy, 0);
    return times(g, g.op("Mul", [dy, g.op("Pow", [x!, g.scalar(power - 1)])]), power);
  }
  const exponent = s.x[1]?.type === s.x[0]?.type ? p! : g.cast(p!, g.floatType);
  const lower = g.op("Pow", [x!, g.op("Sub", [exponent, g.scalar(1)])]);
  return g.op("Mul", [dy, g.op("Mul", [exponent, lower])]);
}
function powerOfExponent(g: Emitter, { x: [x], y, dy }: Names): string {
  const real = g.op("Greater", [x!, g.scalar(0)]);
  const log = g.op("Log", [g.op("Where", [real, x!, g.scalar(1)])]);
  return g.op("Mul", [dy, g.op("Mul", [y, log])]);
}

/** Max, Min: the inputs that reach the extreme share the gradient. */
const extreme = (type: "Max" | "Min") =>
  broadcasting(type, {
    zero: allZero,
    homogeneous: ofAll,
    grad: (g, i, { x, y, dy }) => {
      if (x.length === 1) return dy;
      const hits = x.map((v) => g.cast(g.op("Equal", [v, y]), g.floatType));
      const count = hits.reduce((a, b) => g.op("Add", [a, b]));
      return g.op("Div", [g.op("Mul", [dy, hits[i]!]), count]);
    },
    quant: "arithmetic",
    fold: (x) => (type === "Max" ? Math.max(...x) : Math.min(...x)),
  });

const sum = broadcasting("Sum", {
  sums: true,
  zero: allZero,
  homogeneous: ofAll,
  grad: (_, _i, { dy }) => dy,
  quant: "arithmetic",
  fold: inexact,
});
const mean = broadcasting("Mean", {
  zero: allZero,
  homogeneous: ofAll,
  grad: (g, _i, { x, dy }) => times(g, dy, 1 / x.length),
  quant: "arithmetic",
  fold: inexact,
});

/** Remainder: with the divisor's sign, or with fmod the dividend's (the only one for floats). */
const mod = broadcasting("Mod", {
  attrs: (r) => ({ fmod: r.int("fmod", 0) === 1 }),
  grad: (g, i, { x, dy }) => {
    if (i === 0) return dy;
    const q = g.op("Div", [x[0]!, x[1]!]);
    const whole = g.op("Mul", [g.op("Sign", [q]), g.op("Floor", [g.op("Abs", [q])])]);
    return g.op("Neg", [g.op("Mul", [dy, whole])]);
  },
  quant: "arithmetic",
  fold: ([a, b], { fmod }) => (fmod ? a! % b! : a! - b! * Math.floor(a! / b!)),
});

const neg = unary("Neg", {
  zero: true,
  homogeneous: true,
  grad: (g, { dy }) => g.op("Neg", [dy]),
  quant: "passes",
  fold: (x) => -x,
});
const abs = unary("Abs", {
  zero: true,
  homogeneous: true,
  grad: (g, { x, dy }) => g.op("Mul", [dy, g.op("Sign", [x])]),
  quant: "passes",
  fold: (x) => Math.abs(x),
});

const steps = none("a step function: quantizing its input would move the steps");
const floor = unary("Floor", { zero: true, grad: "zero", quant: steps, fold: (x) => Math.floor(x) });
const ceil = unary("Ceil", { zero: true, grad: "zero", quant: steps, fold: (x) => Math.ceil(x) });
/** Halves go to the even neighbour. */
const roundEven = (x: number): number => {
  const near = Math.round(x);
  return Math.abs(x - Math.trunc(x)) === 0.5 && near % 2 !== 0 ? near - 1 : near;
};
const round = unary("Round", { zero: true, grad: "zero", quant: steps, fold: roundEven });
const sign = unary("Sign", { zero: true, grad: "zero", quant: steps, fold: (x) => Math.sign(x) });

export const arithmetic: readonly Operator[] = [
  add,
  sub,
  mul,
  div,
  pow,
  extreme("Max"),
  extreme("Min"),
  sum,
  mean,
  mod,
  neg,
  abs,
  floor,
  ceil,
  round,
  sign,
];
