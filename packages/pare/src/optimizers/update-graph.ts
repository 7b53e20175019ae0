/** Optimizer options come in; one ONNX graph goes out that turns gradients into new parameters, all as flat vectors. */
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { emptyGraph, type Graph, type Node } from "../graph/graph.js";
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
  /** Whether a pull towards an anchor is fed: the gradient gets pull x (w - anchor). */
  readonly pulled?: boolean;
}

/** What the update's inputs and outputs are called; "" for those it does not have. Vectors are [n], the rest scalars. */
export interface UpdateNames {
  readonly p: string;
  /** What the sum of several gradients is multiplied by. */
  readonly scale: string;
  /** The rule's state and its scalars. */
  readonly slots: readonly string[];
  readonly scalars: readonly string[];
  /** 1 where penalties hold, where there are any. */
  readonly decay: string;
  /** Learning rate x decoupled decay. */
  readonly shrink: string;
  readonly mask: string;
  readonly pull: string;
  readonly anchor: string;
  readonly next: string;
  readonly nextSlots: readonly string[];
}

export interface Update {
  /** With the gradients as inputs g0, g1, ... */
  readonly graph: Graph;
  readonly rule: Rule;
  readonly names: UpdateNames;
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

/** The update as a graph of its own. Throws PareError for options that make no sense. */
export function updateGraph(o: UpdateOptions): Update {
  const graph = emptyGraph("update", 21);
  const gradients = Array.from({ length: o.gradients }, (_, i) => `g${i}`);
  for (const name of gradients) graph.inputs.push({ name, type: "float32", shape: [o.length] });
  return { graph, ...emitUpdate(new Emitter(graph), o, gradients, (name) => name) };
}

/** Appends the update to a graph that has the gradients already; `nameFor` makes names for its inputs and outputs. Throws PareError as updateGraph. */
export function emitUpdate(
  g: Emitter,
  o: UpdateOptions,
  gradients: readonly string[],
  nameFor: (hint: string) => string,
): Omit<Update, "graph"> {
  checkOptions(o);
  const rule = ruleOf(o.optimizer);
  const { l1 = 0, l2 = 0, decoupled = 0 } = o.weightDecay ?? {};
  const input = (hint: string, shape: readonly number[]): string => {
    const name = nameFor(hint);
    g.graph.inputs.push({ name, type: "float32", shape });
    return name;
  };
  const vector = (hint: string): string => input(hint, [o.length]);
  const list = (letter: string, count: number, make: (hint: string) => string): string[] =>
    Array.from({ length: count }, (_, i) => make(`${letter}${i}`));

  const p = vector("p");
  const scale = o.gradients > 1 ? input("scale", []) : "";
  const slots = list("s", rule.slots, vector);
  const scalars = list("c", rule.scalars(1, 1).length, (hint) => input(hint, []));
  const decay = l1 || l2 || decoupled ? vector("decay") : "";
  const shrink = decoupled ? input("shrink", []) : "";
  const mask = o.masked ? vector("mask") : "";
  const [pull, anchor] = o.pulled ? [vector("pull"), vector("anchor")] : ["", ""];
  const masked = (x: string): string => (mask ? g.op("Mul", [x, mask]) : x);

  let gradient = gradients.reduce((a, b) => g.op("Add", [a, b]));
  if (scale) gradient = g.op("Mul", [gradient, scale]);
  gradient = masked(gradient);
  if (o.clipNorm !== undefined) gradient = clip(g, gradient, o.clipNorm);
  if (l2) gradient = g.op("Add", [gradient, g.op("Mul", [g.op("Mul", [p, decay]), g.scalar(l2)])]);
  if (l1) gradient = g.op("Add", [gradient, g.op("Mul", [g.op("Mul", [sign(g, p), decay]), g.scalar(l1)])]);
  if (pull) gradient = g.op("Add", [gradient, g.op("Mul", [pull, g.op("Sub", [p, anchor])])]);
  if (l1 || l2 || pull) gradient = masked(gradient);

  const { change, slots: states } = rule.emit(g, gradient, slots, scalars);
  let result = g.op("Sub", [p, change]);
  if (shrink) result = g.op("Sub", [result, masked(g.op("Mul", [g.op("Mul", [p, decay]), shrink]))]);
  const output = (from: string, hint: string): string => {
    const name = nameFor(hint);
    rename(g.graph.nodes, from, name);
    g.graph.outputs.push({ name, type: "float32", shape: [o.length] });
    return name;
  };
  const next = output(result, "p_next");
  const nextSlots = states.map((s, i) => output(s, `s${i}_next`));
  return { rule, names: { p, scale, slots, scalars, decay, shrink, mask, pull, anchor, next, nextSlots } };
}

/** Gives a value the name it has outside. An Identity would copy it where someone else reads it too. */
function rename(nodes: Node[], from: string, to: string): void {
  const renamed = (name: string): string => (name === from ? to : name);
  nodes.forEach((n, i) => {
    if (n.inputs.includes(from) || n.outputs.includes(from))
      nodes[i] = { ...n, inputs: n.inputs.map(renamed), outputs: n.outputs.map(renamed) };
  });
}

function checkOptions(o: UpdateOptions): void {
  for (const [name, value] of Object.entries(o.weightDecay ?? {}))
    if (!(value >= 0 && Number.isFinite(value)))
      throw new PareError(`weight decay: ${name} ${value} should be a number from 0`, "usage");
  if (o.clipNorm !== undefined && !(o.clipNorm > 0))
    throw new PareError(`clipNorm ${o.clipNorm} should be above 0`, "usage");
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
