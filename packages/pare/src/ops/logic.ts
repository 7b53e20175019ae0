/** Truth values and bits: comparisons, logic, choice between two inputs. */
import { gate } from "./calculus.js";
import { broadcasting, type UnarySpec, unary } from "./elementwise.js";
import { none, type Operator } from "./record.js";

const truth = none("its output is a truth value");
const bits = none("it works on bits");

const comparison = (type: string, f: (a: number, b: number) => boolean): Operator =>
  broadcasting(type, { grad: truth, quant: truth, type: () => "bool", fold: ([a, b]) => (f(a!, b!) ? 1 : 0) });
const predicate = (type: string, spec: Partial<UnarySpec<unknown>> = {}): Operator =>
  unary(type, { grad: truth, quant: truth, type: () => "bool", ...spec });

const where = broadcasting("Where", {
  zero: (z) => z[1] === true && z[2] === true,
  homogeneous: [[1, 2]],
  grad: (g, i, { x: [condition], dy }) => {
    if (i === 0) return null;
    return i === 1 ? gate(g, condition!, dy) : g.op("Where", [condition!, g.scalar(0), dy]);
  },
  quant: "arithmetic",
  type: (x) => x[1]!.type,
  fold: ([c, a, b]) => (c ? a! : b!),
});

const bitwise = (type: string, f: (a: bigint, b: bigint) => bigint): Operator =>
  broadcasting(type, { grad: bits, quant: bits, fold: ([a, b]) => Number(f(BigInt(a!), BigInt(b!))) });

export const logic: readonly Operator[] = [
  comparison("Equal", (a, b) => a === b),
  comparison("Less", (a, b) => a < b),
  comparison("Greater", (a, b) => a > b),
  comparison("LessOrEqual", (a, b) => a <= b),
  comparison("GreaterOrEqual", (a, b) => a >= b),
  comparison("And", (a, b) => a !== 0 && b !== 0),
  comparison("Or", (a, b) => a !== 0 || b !== 0),
  comparison("Xor", (a, b) => (a !== 0) !== (b !== 0)),
  predicate("Not", { fold: (x) => (x ? 0 : 1) }),
  predicate("IsNaN", { fold: (x) => (Number.isNaN(x) ? 1 : 0) }),
  predicate("IsInf", { fold: none("no shape arithmetic uses it") }),
  where,
  bitwise("BitwiseAnd", (a, b) => a & b),
  bitwise("BitwiseOr", (a, b) => a | b),
  bitwise("BitwiseXor", (a, b) => a ^ b),
  unary("BitwiseNot", { grad: bits, quant: bits, fold: none("no shape arithmetic uses it") }),
  broadcasting("BitShift", { grad: bits, quant: bits, fold: none("no shape arithmetic uses it") }),
];
