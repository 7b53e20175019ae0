/** One operator in place -> does its emitted gradient equal central differences of onnxruntime's own forward pass? */
import { infer } from "../../dist/analyze/infer.js";
import type { Engine, NDArray, Session, TypedArray } from "../../dist/engine/engine.js";
import { lowerPlain } from "../../dist/engine/lower-plain.js";
import { Emitter } from "../../dist/graph/emit.js";
import {
  type Draft,
  type ElementType,
  emptyGraph,
  type Graph,
  type Node,
  type Tensor,
  type ValueType,
} from "../../dist/graph/graph.js";
import { sizeOf } from "../../dist/graph/tensor.js";
import type { Gradient, GradientSite, Operator } from "../../dist/ops/record.js";
import { recordOf } from "../../dist/ops/registry.js";
import { siteOf } from "../../dist/ops/site.js";
import { isFloat, numbersOf } from "../../dist/ops/values.js";

export interface Place {
  readonly node: Node;
  readonly record: Operator;
  readonly opset: number;
  /** Values by position of the node's inputs; null: absent. Floats are differentiated, everything else is constant. */
  readonly inputs: readonly (Tensor | null)[];
}
/** Operators whose definition computes in float32 inside, whatever their inputs are. */
export const innerFloat32 = new Set(["LayerNormalization", "GroupNormalization", "RMSNormalization"]);

/** onnxruntime takes these in float64 and fails when they run. */
export const loadsButRefusesDoubles = new Set(["LSTM", "GRU"]);

/** The newest that onnxruntime 1.30 has kernels for everywhere; the tests' newer versions changed only types. */
const newestOpset = 24;

type Float = "float32" | "float64";
export interface Outcome {
  /** Largest error of a directional derivative, relative to the size of its terms. */
  readonly error: number;
  readonly right: boolean;
  readonly forward: Float;
  readonly backward: Float;
}

/** Deterministic numbers in -1..1. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 2 - 1;
  };
}

const arrayOf = (type: ElementType, values: readonly number[] | Float64Array): TypedArray => {
  switch (type) {
    case "float64":
      return Float64Array.from(values);
    case "int64":
      return BigInt64Array.from(Array.from(values, (v) => BigInt(v)));
    case "uint64":
      return BigUint64Array.from(Array.from(values, (v) => BigInt(v)));
    case "int32":
      return Int32Array.from(values);
    case "bool":
    case "uint8":
      return Uint8Array.from(values);
    default:
      return Float32Array.from(values);
  }
};
const bytesOf = (a: TypedArray): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const asTensor = (type: ElementType, dims: readonly number[], values: readonly number[] | Float64Array): Tensor => ({
  type,
  dims,
  bytes: bytesOf(arrayOf(type, values)),
});
const numbers = (a: NDArray): number[] => Array.from(a.data as ArrayLike<number | bigint>, Number);

/** The node's inputs under names of their own: one node may read the same name twice. */
const nameOf = (i: number) => `x${i}`;

/** A node whose inputs and outputs have plain names, and which of them are floats. */
function renamed(p: Place): Node {
  return {
    ...p.node,
    name: "it",
    inputs: p.node.inputs.map((name, i) => (name ? nameOf(i) : "")),
    outputs: p.node.outputs.map((name, k) => (name ? `y${k}` : "")),
  };
}
/** Operators whose further inputs only steer: a ratio, scales. */
const steered = new Set(["Dropout", "Resize", "Upsample"]);
/** Whether input i is differentiated: floats are, except where they only steer. */
export const isVariable = (p: Place, i: number): boolean => {
  const t = p.inputs[i];
  return (t?.type === "float32" || t?.type === "float64") && !(i > 0 && steered.has(p.node.op));
};

/** The node alone in the form of opset 21, with float inputs fed and everything else constant. */
function forwardGraph(p: Place, type: Float): Draft {
  const graph = emptyGraph("forward", Math.min(newestOpset, Math.max(p.opset, 21)));
  graph.irVersion = 10;
  p.inputs.forEach((t, i) => {
    if (t && isVariable(p, i)) graph.inputs.push({ name: nameOf(i), type, shape: t.dims });
    else if (t) graph.initializers.set(nameOf(i), t);
  });
  raiseInto(graph, p, type);
  for (const name of renamed(p).outputs) if (name) graph.outputs.push({ name, type: "undefined", shape: null });
  return graph;
}
/** Appends the node, rewritten by its `raise` facet where it is of an older opset. */
function raiseInto(graph: Draft, p: Place, type: Float): void {
  const node = renamed(p);
  const emitter = new Emitter(graph, type);
  const raised =
    p.opset >= 21 || p.record.raise === "same"
      ? "same"
      : p.record.raise(
          emitter,
          node,
          p.opset,
          siteOf(p.record, {
            node,
            opset: p.opset,
            x: xTypes(p, type),
            value: (k) => (isVariable(p, k) ? null : (p.inputs[k] ?? null)),
          }),
          21,
        );
  if (raised === "same") emitter.push(node);
}
const xTypes = (p: Place, type: Float): (ValueType | null)[] =>
  p.inputs.map((t, i) => t && { type: isVariable(p, i) ? type : t.type, shape: t.dims });

/** Loads at the first precision that onnxruntime has kernels for. */
async function loadFirst(
  engine: Engine,
  make: (type: Float) => Graph,
  types: readonly Float[],
): Promise<{ session: Session; type: Float; graph: Graph }> {
  let last: unknown;
  for (const type of types) {
    const graph = make(type);
    try {
      return { session: await engine.load(lowerPlain(graph), { optimize: "none" }), type, graph };
    } catch (e) {
      last = e;
    }
  }
  throw last;
}

export const tolerance = (coarse: boolean): number => (coarse ? 2e-3 : 2e-5);

/** Throws where forward or gradient does not run; the caller compares `error` with `tolerance`. */
export async function checkGradient(engine: Engine, p: Place, seed = 1): Promise<Outcome> {
  const random = randomSource(seed);
  const forward = await loadFirst(
    engine,
    (type) => withOutputTypes(p, forwardGraph(p, type), type),
    loadsButRefusesDoubles.has(p.node.op) ? ["float32"] : ["float64", "float32"],
  );
  const run = async (x: readonly (Float64Array | null)[]): Promise<NDArray[]> => {
    const feeds: Record<string, NDArray> = {};
    x.forEach((values, i) => {
      if (values)
        feeds[nameOf(i)] = { type: forward.type, dims: p.inputs[i]!.dims, data: arrayOf(forward.type, values) };
    });
    const out = await forward.session.run(feeds);
    return renamed(p).outputs.map((name) => out[name]!);
  };
  const x = seed < 3 ? await pointAwayFromKinks(p, run, random) : ownPoint(p, random);
  if (forward.type === "float32") for (const values of x) values?.set(Float32Array.from(values));
  const y = await run(x);
  const coarse = forward.type === "float32" || y.some((v) => v?.type === "float32") || innerFloat32.has(p.node.op);
  const c = y.map((v) =>
    v && (v.type === "float32" || v.type === "float64") ? Float64Array.from({ length: sizeOf(v.dims) }, random) : null,
  );
  if (c.every((v) => v === null)) throw new Error("no float output");

  // A gradient that is zero everywhere has no nodes to load.
  const whole = gradientGraph(p, "float64", x, y, c).graph;
  checkEmitted(whole);
  p.inputs.forEach((_, i) => {
    if (isVariable(p, i))
      checkEmitted(
        gradientGraph(
          p,
          "float64",
          x,
          y,
          c,
          p.inputs.map((_, j) => i === j),
        ).graph,
      );
  });
  const empty = whole.outputs.length === 0;
  const backward = empty
    ? null
    : await loadFirst(engine, (type) => gradientGraph(p, type, x, y, c).graph, ["float64", "float32"]);
  const { names } = gradientGraph(p, backward?.type ?? "float64", x, y, c);
  const feeds: Record<string, NDArray> = {};
  for (const input of backward?.graph.inputs ?? []) {
    const k = Number(input.name.slice(1).replace(/^y/, ""));
    const values = input.name.startsWith("x") ? x[k]! : input.name.startsWith("dy") ? c[k]! : numbers(y[k]!);
    feeds[input.name] = { type: input.type, dims: input.shape as number[], data: arrayOf(input.type, values) };
  }
  const gradients = backward ? await backward.session.run(feeds) : {};

  const phi = async (at: readonly (Float64Array | null)[]) =>
    (await run(at)).reduce((sum, v, k) => {
      const weights = c[k];
      return weights ? numbers(v).reduce((s, u, j) => s + u * weights[j]!, sum) : sum;
    }, 0);
  const base = Math.abs(await phi(x));
  // A long step crosses kinks and a short one drowns in rounding: one of them must agree.
  const lengths = coarse ? [0.03, 0.01, 0.003] : [1e-4, 1e-6];
  let error = 0;
  for (const [i, xi] of x.entries()) {
    if (!xi?.length) continue;
    const name = names[i];
    const g = name ? numbers(gradients[name]!) : new Array<number>(xi.length).fill(0);
    if (name && `${gradients[name]!.dims}` !== `${p.inputs[i]!.dims}`)
      throw new Error(`gradient of input ${i} is [${gradients[name]!.dims}], the input [${p.inputs[i]!.dims}]`);
    for (let round = 0; round < 2; round++) {
      const v = Float64Array.from({ length: xi.length }, random);
      const shifted = (t: number) => phi(x.map((u, j) => (u && j === i ? u.map((w, k) => w + t * v[k]!) : u)));
      const slope = async (t: number) => ((await shifted(t)) - (await shifted(-t))) / (2 * t);
      const product = g.reduce((s, u, k) => s + u * v[k]!, 0);
      let best = Number.POSITIVE_INFINITY;
      for (const h of lengths) {
        if (best <= tolerance(coarse)) break;
        // Richardson: the h^2 term of the central difference drops out.
        const difference = (4 * (await slope(h / 2)) - (await slope(h))) / 3;
        const terms = Math.sqrt(g.reduce((s, u, k) => s + (u * v[k]!) ** 2, 0)) + Math.abs(difference);
        const off = Math.abs(product - difference) / (terms + base * (coarse ? 1e-2 : 1e-5) + 1e-3);
        // NaN: the step left the function's domain.
        if (off < best) best = off;
      }
      if (!(best <= error)) error = best;
    }
  }
  await forward.session.release();
  await backward?.session.release();
  return {
    error,
    right: error <= tolerance(coarse),
    forward: coarse ? "float32" : "float64",
    backward: backward?.type ?? "float64",
  };
}

/** onnxruntime wants declared output types: the record's own shape facet gives them. */
function withOutputTypes(p: Place, graph: Draft, type: Float): Draft {
  const types = p.record.shape(
    siteOf(p.record, {
      node: p.node,
      opset: p.opset,
      x: xTypes(p, type),
      value: (i) => (isVariable(p, i) ? null : (p.inputs[i] ?? null)),
    }),
  );
  graph.outputs = renamed(p).outputs.flatMap((name, k) => (name ? [{ name, type: types[k]!.type, shape: null }] : []));
  return graph;
}

/** The inputs a little moved, so that no value sits exactly on a kink; unmoved where that leaves the domain. */
async function pointAwayFromKinks(
  p: Place,
  run: (x: readonly (Float64Array | null)[]) => Promise<NDArray[]>,
  random: () => number,
): Promise<(Float64Array | null)[]> {
  const at = (move: number) =>
    p.inputs.map((t, i) =>
      t && isVariable(p, i) ? Float64Array.from(numbersOf(t)!, (v) => v + move * (random() + 0.1)) : null,
    );
  const finite = (out: readonly NDArray[]) =>
    out.every((o) => o === undefined || numbers(o).every((v) => Number.isFinite(v)));
  const moved = at(0.05);
  if (finite(await run(moved))) return moved;
  const given = at(0);
  if (finite(await run(given))) return given;
  return ownPoint(p, random); // The case feeds infinities.
}
/** A point inside the domain of most functions. */
const ownPoint = (p: Place, random: () => number): (Float64Array | null)[] =>
  p.inputs.map((t, i) =>
    t && isVariable(p, i) ? Float64Array.from({ length: sizeOf(t.dims) }, () => 0.5 + 0.4 * random()) : null,
  );

/** The gradient as a model of its own: x, y and dy are fed, the gradients of all float inputs come out. */
export function gradientGraph(
  p: Place,
  type: Float,
  x: readonly (Float64Array | null)[],
  y: readonly NDArray[],
  c: readonly (Float64Array | null)[],
  wanted: readonly boolean[] = p.inputs.map((_, i) => isVariable(p, i)),
): { graph: Draft; names: readonly (string | null)[] } {
  const graph = emptyGraph("gradient", Math.min(newestOpset, Math.max(21, p.node.domain === "" ? p.opset : 21)));
  const node = renamed(p);
  const cast = (t: ElementType): ElementType => (isFloat(t) ? type : t);
  p.inputs.forEach((t, i) => {
    if (t && isVariable(p, i)) graph.inputs.push({ name: nameOf(i), type, shape: t.dims });
    else if (t) graph.initializers.set(nameOf(i), t);
  });
  y.forEach((v, k) => {
    if (!v) return;
    graph.inputs.push({ name: `y${k}`, type: cast(v.type), shape: v.dims });
    if (c[k]) graph.inputs.push({ name: `dy${k}`, type, shape: v.dims });
  });
  const emitter = new Emitter(graph, type);
  const place = siteOf(p.record, {
    node,
    opset: p.opset,
    x: xTypes(p, type),
    y: y.map((v) => (v ? { type: cast(v.type), shape: v.dims } : null)),
    // Values of floats are known too, as they are for an initialiser that is not trained.
    value: (i) => (x[i] ? asTensor(type, p.inputs[i]!.dims, x[i]!) : (p.inputs[i] ?? null)),
  });
  const site: GradientSite = {
    ...place,
    inputs: node.inputs,
    outputs: node.outputs,
    dy: y.map((_, k) => (c[k] ? `dy${k}` : null)),
    wanted,
    dims: (i) => p.inputs[i]!.dims,
    outDims: (k) => y[k]!.dims,
  };
  const names = (p.record.grad as Gradient<unknown>)(emitter, site);
  const outputs = [...new Set(names.filter((n): n is string => n !== null))];
  // A gradient may be dy itself: a model's output needs a node of its own.
  const aliases = new Map(outputs.map((n) => [n, emitter.op("Identity", [n])]));
  graph.outputs = [...aliases.values()].map((name) => ({ name, type, shape: null }));
  const used = new Set(graph.nodes.flatMap((n) => n.inputs));
  graph.inputs = graph.inputs.filter((v) => used.has(v.name));
  for (const [name, found] of infer(graph).types) graph.values.set(name, { name, ...found });
  return { graph, names: names.map((n) => (n ? aliases.get(n)! : null)) };
}

/** Emitted nodes are all used, and all known: a gradient of the gradient exists. */
function checkEmitted(graph: Graph): void {
  const used = new Set([...graph.outputs.map((v) => v.name), ...graph.nodes.flatMap((n) => n.inputs)]);
  for (const node of graph.nodes) {
    if (!node.outputs.some((o) => used.has(o))) throw new Error(`nobody reads the emitted ${node.op}`);
    if (!recordOf(node)) throw new Error(`no record of the emitted ${node.domain || "onnx"} ${node.op}`);
  }
}
