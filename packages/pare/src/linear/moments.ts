/** A layer in its graph and samples enter; first and second moments of what the layer sees, and of what it should answer, leave. */
import type { Dataset } from "../data/dataset.js";
import { Random } from "../data/random.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { type Draft, draft, feeds, type Graph } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import type { LinearLayer } from "./layers.js";
import { addScaled, dot, type Matrix, matrix, multiply, rowOf } from "./matrix.js";

/** About the means where the layer takes a bias, else about zero (and the means are zeros). n = c k... as in the layer's weight. */
export interface Moments {
  /** [n n]: mean of x x^T. */
  readonly input: Matrix;
  /** [o n]: mean of t x^T, t the wanted answer. */
  readonly cross: Matrix;
  readonly inputMean: Float64Array;
  readonly targetMean: Float64Array;
  /** The wanted answers are the layer's own. */
  readonly own: boolean;
}
export interface MomentsOptions {
  readonly engine: Engine;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
  /** Positions to take at least, where the samples have as many; more per sample make them less independent. */
  readonly rows?: number;
}

/** Where the layer's answer goes: its own output, or a sum that it alone is added to. */
export interface Target {
  /** The value that should come out as in the original graph. */
  readonly value: string;
  /** What is added to the layer's output to give it. */
  readonly other: string | null;
}

/** He, Zhang, Sun 2017 (section 3.3): behind a residual branch the sum is what counts, errors of the shortcut included. */
export function targetOf(graph: Graph, layer: LinearLayer, shapeOf: (name: string) => string | null): Target {
  const output = layer.node.outputs[0]!;
  const own = { value: output, other: null };
  const readers = graph.nodes.filter((n) => n.inputs.includes(output));
  const [sum] = readers;
  if (readers.length !== 1 || graph.outputs.some((v) => v.name === output)) return own;
  if (!recordOf(sum!)?.sums || sum!.inputs.length !== 2) return own;
  const other = sum!.inputs.find((x) => x !== output);
  if (!other || graph.initializers.has(other) || shapeOf(other) !== shapeOf(output)) return own;
  return { value: sum!.outputs[0]!, other };
}

/** Elements of patches that one run may hold. */
const runElements = 2 ** 24;

/**
 * Moments over all samples at evenly drawn positions. `current` holds the layer; `wanted`: the original graph, whose value of `target` is the
 * answer; without it the answer is the layer's own. Both graphs: opset 21, open batch.
 */
export async function momentsOf(
  current: Graph,
  layer: LinearLayer,
  data: Dataset,
  options: MomentsOptions,
  wanted?: { readonly graph: Graph; readonly target: Target },
): Promise<Moments> {
  const n = layer.weight.cols;
  const positions = sizeOf(layer.to);
  const rows = options.rows ?? Math.max(50_000, 100 * n);
  const picked = Math.min(positions, Math.ceil(rows / data.length));
  const batch = Math.max(1, Math.min(64, data.length, Math.floor(runElements / (n * positions))));
  const plan = momentGraph(current, layer, picked < positions && layer.kernel.length > 0, wanted?.target ?? null);
  const session = await options.engine.load(plan.graph);
  const original = wanted ? await options.engine.load(onlyOutput(wanted.graph, wanted.target.value)) : null;
  const sums = new Sums(layer);
  try {
    for (let from = 0; from < data.length; from += batch) {
      options.signal?.throwIfAborted();
      const indices = Array.from({ length: Math.min(batch, data.length - from) }, (_, i) => from + i);
      const fed = named(current, data.batch(indices).inputs);
      const answer = original && Object.values(await original.run(fed))[0]!;
      const drawn = plan.positions
        ? { [plan.positions]: drawnPositions(positions, picked, new Random(options.seed, from)) }
        : {};
      sums.add(await session.run({ ...fed, ...drawn, ...(answer ? { [plan.answer!]: answer } : {}) }), plan.outputs);
    }
  } finally {
    await session.release();
    await original?.release();
  }
  return sums.moments();
}

const named = (graph: Graph, inputs: readonly NDArray[]): Record<string, NDArray> =>
  Object.fromEntries(feeds(graph).map((v, k) => [v.name, inputs[k]!]));

function onlyOutput(graph: Graph, value: string): Graph {
  const d = draft(graph);
  d.outputs = [{ name: value, type: "float32", shape: null }];
  return dropDeadNodes(d);
}

function drawnPositions(length: number, count: number, random: Random): NDArray {
  const start = random.uint32() % length;
  const data = BigInt64Array.from({ length: count }, (_, i) =>
    BigInt((start + Math.floor((i * length) / count)) % length),
  );
  return { type: "int64", dims: [count], data };
}

interface MomentGraph {
  readonly graph: Graph;
  /** Input int64 [p]: positions to look at; null: all. */
  readonly positions: string | null;
  /** Input: the wanted answer. */
  readonly answer: string | null;
  readonly outputs: Readonly<Record<"input" | "inputSum" | "cross" | "targetSum" | "rows", string | null>>;
}

function momentGraph(current: Graph, layer: LinearLayer, some: boolean, target: Target | null): MomentGraph {
  const d: Draft = { ...draft(current), values: new Map() };
  const g = new Emitter(d, "float32", "moments_");
  const positions = some ? g.fresh("positions") : null;
  if (positions) d.inputs.push({ name: positions, type: "int64", shape: ["p"] });
  const flat = (x: string): string => flattened(g, layer, x, positions);
  const x = flat(patches(g, layer, layer.node.inputs[0]!));
  const answer = target && g.fresh("answer");
  if (answer) d.inputs.push({ name: answer, type: "float32", shape: null });
  const t = answer ? flat(target!.other ? g.op("Sub", [answer, target!.other]) : answer) : null;
  const outputs = {
    input: g.op("Gemm", [x, x], { transB: 1 }),
    inputSum: g.reduceSum(x, [1]),
    rows: g.op("Shape", [x], { start: 1 }),
    cross: t && g.op("Gemm", [t, x], { transB: 1 }),
    targetSum: t && g.reduceSum(t, [1]),
  };
  d.outputs = Object.values(outputs).flatMap((name) =>
    name ? [{ name, type: "undefined" as const, shape: null }] : [],
  );
  return { graph: dropDeadNodes(d), positions, answer, outputs };
}

/** What each output of a convolution sees: [b (c k...) y...], by a depthwise convolution that copies. A matrix product's input as it is. */
function patches(g: Emitter, layer: LinearLayer, x: string): string {
  const size = sizeOf(layer.kernel);
  if (!layer.kernel.length) return x;
  const copies = new Float32Array(layer.inputs * size * size);
  for (let i = 0; i < layer.inputs * size; i++) copies[i * size + (i % size)] = 1;
  const w = g.constant(floats(copies, [layer.inputs * size, 1, ...layer.kernel]), "copies");
  return g.op("Conv", [x, w], { ...layer.window, kernel_shape: layer.kernel, group: layer.inputs });
}

/** [channels, rows] of a convolution's [b channels y...] or a product's [... channels]. */
function flattened(g: Emitter, layer: LinearLayer, x: string, positions: string | null): string {
  if (!layer.kernel.length) return g.transpose(g.op("Flatten", [x], { axis: -1 }), [1, 0]);
  const lined = g.reshape(x, [0, 0, -1]);
  const some = positions ? g.op("Gather", [lined, positions], { axis: 2 }) : lined;
  const first = g.transpose(some, [1, 0, 2]);
  return g.op("Flatten", [first], { axis: 1 });
}

/** Sums over runs, in float64. */
class Sums {
  readonly #input: Matrix;
  readonly #cross: Matrix;
  readonly #inputSum: Float64Array;
  readonly #targetSum: Float64Array;
  #rows = 0;
  #answered = false;

  constructor(readonly layer: LinearLayer) {
    const { rows, cols } = layer.weight;
    this.#input = matrix(cols, cols);
    this.#cross = matrix(rows, cols);
    this.#inputSum = new Float64Array(cols);
    this.#targetSum = new Float64Array(rows);
  }

  add(out: Readonly<Record<string, NDArray>>, names: MomentGraph["outputs"]): void {
    const of = (name: string | null) => (name ? (out[name]!.data as Float32Array) : null);
    accumulate(this.#input.data, of(names.input)!);
    accumulate(this.#inputSum, of(names.inputSum)!);
    this.#rows += Number((out[names.rows!]!.data as BigInt64Array)[0]!);
    if (!names.cross) return;
    this.#answered = true;
    accumulate(this.#cross.data, of(names.cross)!);
    accumulate(this.#targetSum, of(names.targetSum)!);
  }

  moments(): Moments {
    const { layer } = this;
    const mean = (sum: Float64Array) => sum.map((v) => (layer.takesBias ? v / this.#rows : 0));
    const inputMean = mean(this.#inputSum);
    const input = centred(this.#input, this.#rows, inputMean, inputMean);
    if (!this.#answered) {
      const cross = multiply(layer.weight, input);
      const targetMean = Float64Array.from({ length: layer.outputs }, (_, o) =>
        layer.takesBias ? dot(rowOf(layer.weight, o), inputMean) + (layer.bias?.[o] ?? 0) : 0,
      );
      return { input, cross, inputMean, targetMean, own: true };
    }
    const targetMean = mean(this.#targetSum);
    const cross = centred(this.#cross, this.#rows, targetMean, inputMean);
    return { input, cross, inputMean, targetMean, own: false };
  }
}
function accumulate(to: Float64Array, from: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += from[i]!;
}
/** sum / rows - a b^T. */
function centred(sum: Matrix, rows: number, a: Float64Array, b: Float64Array): Matrix {
  const out = matrix(
    sum.rows,
    sum.cols,
    sum.data.map((v) => v / rows),
  );
  for (let i = 0; i < sum.rows; i++) addScaled(rowOf(out, i), -a[i]!, b);
  return out;
}
