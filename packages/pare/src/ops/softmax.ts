/** Softmax and its kin. Before opset 13 everything from `axis` on is one axis. */
import type { Emitter } from "../graph/emit.js";
import type { Node } from "../graph/graph.js";
import { axisIn } from "./dims.js";
import { inexact } from "./elementwise.js";
import { awaits, type Operator, op, type Site } from "./record.js";
import { need } from "./site.js";

interface Normalized {
  readonly axis: number;
}

/** The axes that are normalised together. */
function normalizedAxes(s: Site<Normalized>, rank: number): number[] {
  if (s.opset < 13 && (s.a.axis === rank || rank === 0)) return [];
  const axis = axisIn(s.node, s.a.axis, rank);
  return s.opset < 13 ? Array.from({ length: rank - axis }, (_, i) => axis + i) : [axis];
}

type Formula = (g: Emitter, y: string, dy: string, sum: (x: string) => string) => string;

function softmax(type: string, grad: Formula | "zero"): Operator {
  return op<Normalized>({
    type,
    domain: "",
    attrs: (r) => ({ axis: r.int("axis", r.opset < 13 ? 1 : -1) }),
    axes: (s) => {
      const shape = need(s, 0).shape;
      if (!shape) return "a~... -> a...";
      const over = normalizedAxes(s, shape.length);
      const right = shape.map((_, d) => `a${d}x`);
      return `${right.map((a, d) => (over.includes(d) ? `${a}~` : a)).join(" ")} -> ${right.join(" ")}`;
    },
    shape: (s) => {
      const x = need(s, 0);
      if (x.shape) normalizedAxes(s, x.shape.length);
      return [x];
    },
    grad: (g, s) => {
      const dy = s.dy[0];
      if (!dy || !s.wanted[0] || grad === "zero") return [null];
      const axes = normalizedAxes(s, s.dims(0).length);
      return [grad(g, s.outputs[0]!, dy, (x) => (axes.length ? g.reduceSum(x, axes, true) : x))];
    },
    quant: "arithmetic",
    packs: awaits(type.toLowerCase()),
    raise: raiseSoftmax,
    rewrite: "none needed",
    fold: inexact,
  });
}

/** Opset 13's form: over the last axis alone, or flattened around it. */
function raiseSoftmax(g: Emitter, node: Node, opset: number, s: Site | null): readonly string[] | "same" {
  if (opset >= 13) return "same";
  const given = node.attributes.axis;
  const axis = given?.kind === "int" ? Number(given.value) : 1;
  const rank = s?.x[0]?.shape?.length;
  if (rank !== undefined && (axis === rank - 1 || axis === -1)) {
    g.push({ ...node, attributes: { axis: { kind: "int", value: -1 } } });
    return node.outputs;
  }
  const x = node.inputs[0]!;
  const flat = g.op("Flatten", [x], { axis });
  const y = g.op(node.op, [flat], { axis: -1 });
  g.push({ ...node, op: "Reshape", inputs: [y, g.op("Shape", [x])], attributes: {} });
  return node.outputs;
}

const mul = (g: Emitter, a: string, b: string): string => g.op("Mul", [a, b]);

export const softmaxes: readonly Operator[] = [
  softmax("Softmax", (g, y, dy, sum) => mul(g, y, g.op("Sub", [dy, sum(mul(g, dy, y))]))),
  softmax("LogSoftmax", (g, y, dy, sum) => g.op("Sub", [dy, mul(g, g.op("Exp", [y]), sum(dy))])),
  softmax("Hardmax", "zero"),
];
