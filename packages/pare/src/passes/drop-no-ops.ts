/** Nodes that hand their input on unchanged -> gone, their readers read what they read; transposes of transposes -> one. In bodies too. */
import { infer } from "../analyze/infer.js";
import { node as makeNode } from "../graph/emit.js";
import type { Graph, Node, Shape, Subgraph, Tensor, ValueType } from "../graph/graph.js";
import { Attributes } from "../ops/site.js";
import { numbersOf } from "../ops/values.js";
import { eachBody, type Known, producers, readers, rereading } from "./each-body.js";

/** The same function and the same names of inputs and outputs. */
export function dropNoOps(graph: Graph): Graph {
  return eachBody(graph, infer(graph), dropIn);
}

function dropIn(body: Subgraph, known: Known): Subgraph {
  const outputs = new Set(body.outputs.map((v) => v.name));
  const given = new Set([...body.inputs.map((v) => v.name), ...body.initializers.keys()]);
  const source = new Map<string, string>();
  /** Names of outputs that move to the node that computes them. */
  const promoted = new Map<string, string>();
  const makers = new Map(producers(body.nodes));
  const counts = readers(body);
  const to = (name: string) => source.get(name) ?? name;
  const nodes: Node[] = [];
  let changed = false;
  for (const old of body.nodes) {
    const n = simpler(constantLast(rereading(old, to), known), known, makers);
    changed ||= n !== old;
    for (const o of n.outputs) if (o) makers.set(o, n);
    const [x, y] = [n.inputs[0], n.outputs[0]];
    if (!x || !y || !(passesOn(n, known) || repeats(n, makers)) || n.outputs.slice(1).some((o) => o && counts.has(o))) {
      nodes.push(n);
      continue;
    }
    const own = makers.get(x);
    if (!outputs.has(y)) source.set(y, x);
    else if (own && nodes.includes(own) && !outputs.has(x) && !given.has(x) && !captured(body, x)) promoted.set(x, y);
    else {
      nodes.push(n);
      continue;
    }
    changed = true;
  }
  if (!changed) return body;
  const renamed = nodes.map((n) => ({
    ...rereading(n, (name) => promoted.get(to(name)) ?? to(name)),
    outputs: n.outputs.map((o) => promoted.get(o) ?? o),
  }));
  return { ...body, nodes: promoted.size > 0 ? renamed : nodes };
}
/** Whether a body inside a node reads the name. */
const captured = (body: Subgraph, name: string): boolean =>
  body.nodes.some((n) => !n.inputs.includes(name) && rereading(n, (x) => (x === name ? `${name}\u0000` : x)) !== n);

/** x + c for c + x, where x is computed. */
function constantLast(n: Node, known: Known): Node {
  if (n.domain !== "" || !(n.op === "Add" || n.op === "Mul") || n.inputs.length !== 2) return n;
  const [a, b] = n.inputs as [string, string];
  return known.valueOf(a) && !known.valueOf(b) ? { ...n, inputs: [b, a] } : n;
}

/** A node in a shorter form: two transposes in one; an initial state of zeros, which is the default, left out. */
function simpler(n: Node, known: Known, makers: ReadonlyMap<string, Node>): Node {
  if (n.domain !== "") return n;
  if (n.op === "Transpose") {
    const before = makers.get(n.inputs[0]!);
    if (before?.op !== "Transpose" || before.domain !== "") return n;
    const [first, second] = [permOf(before, known), permOf(n, known)];
    return first && second
      ? {
          ...makeNode("Transpose", [before.inputs[0]!], n.outputs, { perm: second.map((p) => first[p]!) }),
          name: n.name,
        }
      : n;
  }
  const states = { LSTM: [5, 6], GRU: [5], RNN: [5] }[n.op];
  const blank = (name: string | undefined) => {
    const maker = name ? makers.get(name) : undefined;
    if (maker?.op === "ConstantOfShape") return zeros(new Attributes(maker, known.opset).tensor("value") ?? nothing);
    return Boolean(name) && zeros(known.valueOf(name!));
  };
  if (!states?.some((i) => blank(n.inputs[i]))) return n;
  const inputs = n.inputs.map((name, i) => (states.includes(i) && blank(name) ? "" : name));
  while (inputs.at(-1) === "") inputs.pop();
  return { ...n, inputs };
}
const nothing: Tensor = { type: "float32", dims: [0], bytes: new Uint8Array(0) };
const zeros = (t: Tensor | null): boolean => t?.bytes.every((b) => b === 0) ?? false;

function permOf(n: Node, known: Known): readonly number[] | null {
  const rank = known.typeOf(n.inputs[0]!)?.shape?.length;
  return new Attributes(n, known.opset).ints("perm") ?? (rank === undefined ? null : [...Array(rank).keys()].reverse());
}

/** Of two types: certainly the same shape. */
const sameShape = (a: Shape | null | undefined, b: Shape | null | undefined): boolean =>
  Boolean(a && b && a.length === b.length && a.every((d, i) => d !== "" && d === b[i]));

type Rule = (n: Node, known: Known, x: ValueType | null, y: ValueType | null) => boolean;
const sameForm: Rule = (_, __, x, y) => sameShape(x?.shape, y?.shape);
const constantIs =
  (i: number, holds: (values: readonly number[]) => boolean): Rule =>
  (n, known, x, y) => {
    const value = known.valueOf(n.inputs[i] ?? "");
    const values = value && numbersOf(value);
    return sameShape(x?.shape, y?.shape) && values !== null && holds(values);
  };
const every = (v: number) => (values: readonly number[]) => values.every((x) => x === v);

/** When a node's first output is its first input. */
const rules: Readonly<Record<string, Rule>> = {
  Identity: () => true,
  Dropout: (n, known) => !n.inputs[2] || zeros(known.valueOf(n.inputs[2])),
  Reshape: sameForm,
  Flatten: sameForm,
  Squeeze: sameForm,
  Unsqueeze: sameForm,
  Expand: sameForm,
  Tile: sameForm,
  Concat: (n) => n.inputs.length === 1,
  Split: (n) => n.outputs.length === 1,
  Sum: (n) => n.inputs.length === 1,
  Max: (n) => n.inputs.length === 1,
  Min: (n) => n.inputs.length === 1,
  Cast: (_, __, x, y) => x !== null && x.type !== "undefined" && x.type === y?.type,
  Transpose: (n, known) => permOf(n, known)?.every((p, i) => p === i) ?? false,
  Slice: (n, known, x, y) =>
    sameShape(x?.shape, y?.shape) &&
    (known.opset < 10 || !n.inputs[4] || constantIs(4, (v) => v.every((s) => s > 0))(n, known, x, y)),
  Pad: (n, known, x, y) => {
    if (known.opset >= 11) return constantIs(1, every(0))(n, known, x, y);
    const read = new Attributes(n, known.opset);
    return sameShape(x?.shape, y?.shape) && every(0)(read.ints(known.opset < 2 ? "paddings" : "pads") ?? [1]);
  },
  Mul: constantIs(1, every(1)),
  Div: constantIs(1, every(1)),
  Add: constantIs(1, every(0)),
  Sub: constantIs(1, every(0)),
};

/** Operators that change nothing the second time. */
const idempotent = new Set(["Relu", "Abs", "Ceil", "Floor", "Round", "Sign"]);
function repeats(n: Node, makers: ReadonlyMap<string, Node>): boolean {
  const maker = makers.get(n.inputs[0]!);
  return n.domain === "" && idempotent.has(n.op) && maker?.domain === "" && maker.op === n.op;
}

function passesOn(n: Node, known: Known): boolean {
  const types = [n.inputs[0]!, n.outputs[0]!].map((name) => known.typeOf(name));
  return n.domain === "" && (rules[n.op]?.(n, known, types[0]!, types[1]!) ?? false);
}
