/** Optimizer options come in; one ONNX graph goes out that turns gradients into new parameters, all as flat vectors. */
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { emptyGraph, type Graph } from "../graph/graph.js";
import { adam } from "./adam.js";
import { rmsprop } from "./rmsprop.js";
import type { OptimizerOptions, Rule } from "./rule.js";
import { sgd } from "./sgd.js";

/** Penalties on the elements that `l1` and `l2` vectors name; the gradient gets l1 sign(w) + l2 w, or w shrinks by rate x decoupled x w. */
export interface WeightDecay {
  readonly l1?: number;
  readonly l2?: number;
  readonly decoupled?: number;
}

export interface UpdateOptions {
  /** Number of parameters n. */
  readonly length: number;
  /** Gradients that are added, in their order, before the update. */
  readonly gradients: number;
  readonly optimizer: OptimizerOptions;
  readonly weightDecay?: WeightDecay;
  /** Limit of the summed, scaled, masked gradient's 2-norm. */
  readonly clipNorm?: number;
  /** Whether a mask is fed: elements where it is 0 get no gradient and no decay. */
  readonly masked: boolean;
}

export interface Update {
  /**
   * Inputs: p, g0.. [n]; scale [] (what the sum is multiplied by); s0.. [n] state; c0.. [] the rule's scalars;
   * decay [n] (1 where penalties hold, where there are any), shrink [] (rate x decoupled, where there is one), mask [n].
   * Outputs: p_next, s0_next.. [n].
   */
  readonly graph: Graph;
  readonly rule: Rule;
}

/** The update rule of these options. Throws PareError for values that make no sense. */
export function ruleOf(options: OptimizerOptions): Rule {
  if (options.kind === "sgd") return sgd(options);
  if (options.kind === "adam" || options.kind === "adamw") return adam(options);
  if (options.kind === "rmsprop") return rmsprop(options);
  throw new PareError(
    `unknown optimizer "${(options as { kind: string }).kind}": sgd, adam, adamw or rmsprop`,
    "usage",
  );
}

/** The update as a graph. Throws PareError for options that make no sense. */
export function updateGraph(o: UpdateOptions): Update {
  const rule = ruleOf(o.optimizer);
  const { l1 = 0, l2 = 0, decoupled = 0 } = o.weightDecay ?? {};
  for (const [name, value] of Object.entries({ l1, l2, decoupled }))
    if (!(value >= 0 && Number.isFinite(value)))
      throw new PareError(`weight decay: ${name} ${value} should be a number from 0`, "usage");
  if (o.clipNorm !== undefined && !(o.clipNorm > 0))
    throw new PareError(`clipNorm ${o.clipNorm} should be above 0`, "usage");

  const graph = emptyGraph("update", 21);
  const input = (name: string, shape: readonly number[]): string => {
    graph.inputs.push({ name, type: "float32", shape });
    return name;
  };
  const vector = (name: string): string => input(name, [o.length]);
  const list = (letter: string, count: number, make: (name: string) => string): string[] =>
    Array.from({ length: count }, (_, i) => make(`${letter}${i}`));

  const p = vector("p");
  const gradients = list("g", o.gradients, vector);
  const scale = input("scale", []);
  const slots = list("s", rule.slots, vector);
  const scalars = list("c", rule.scalars(1, 1).length, (name) => input(name, []));
  const decay = l1 || l2 || decoupled ? vector("decay") : "";
  const shrink = decoupled ? input("shrink", []) : "";
  const mask = o.masked ? vector("mask") : "";
  const g = new Emitter(graph);

  let gradient = g.op("Mul", [gradients.reduce((a, b) => g.op("Add", [a, b])), scale]);
  if (mask) gradient = g.op("Mul", [gradient, mask]);
  if (o.clipNorm !== undefined) gradient = clip(g, gradient, o.clipNorm);
  if (l2) gradient = g.op("Add", [gradient, g.op("Mul", [g.op("Mul", [p, decay]), g.scalar(l2)])]);
  if (l1) gradient = g.op("Add", [gradient, g.op("Mul", [g.op("Mul", [sign(g, p), decay]), g.scalar(l1)])]);
  if (mask && (l1 || l2)) gradient = g.op("Mul", [gradient, mask]);

  const { change, slots: next } = rule.emit(g, gradient, slots, scalars);
  let result = g.op("Sub", [p, change]);
  if (shrink) {
    const lost = g.op("Mul", [g.op("Mul", [p, decay]), shrink]);
    result = g.op("Sub", [result, mask ? g.op("Mul", [lost, mask]) : lost]);
  }
  const output = (from: string, name: string): void => {
    g.push({ op: "Identity", domain: "", name, inputs: [from], outputs: [name], attributes: {} });
    graph.outputs.push({ name, type: "float32", shape: [o.length] });
  };
  output(result, "p_next");
  next.forEach((s, i) => {
    output(s, `s${i}_next`);
  });
  return { graph, rule };
}

/** Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1. */
function clip(g: Emitter, gradient: string, limit: number): string {
  const norm = g.op("Sqrt", [g.op("ReduceSumSquare", [gradient, g.ints([0])], { keepdims: 0 })]);
  const factor = g.op("Min", [g.op("Div", [g.scalar(limit), g.op("Add", [norm, g.scalar(1e-6)])]), g.scalar(1)]);
  return g.op("Mul", [gradient, factor]);
}

/** -1, 0 or 1; between them below 1e-30, which no weight that matters is. onnxruntime's Sign is many times slower. */
const sign = (g: Emitter, x: string): string =>
  g.op("Clip", [g.op("Mul", [x, g.scalar(1e30)]), g.scalar(-1), g.scalar(1)]);
