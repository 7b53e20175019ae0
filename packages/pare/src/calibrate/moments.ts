/** A graph, products with constants in it and samples enter; the second moments of what the constants are multiplied with leave, computed within onnxruntime. */
import type { Samples } from "../data/samples.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Graph, Node } from "../graph/graph.js";
import { plain, quote } from "../graph/quote.js";
import { floats } from "../graph/tensor.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { withOutputs } from "./outputs.js";

export interface MomentsOptions {
  readonly engine: Engine;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly of: number }) => void;
  /** Rows enough for k inputs, over all samples; 16384, or 8 k where that is more, unless given. */
  readonly enoughRows?: (k: number) => number;
}

/** Of the rows X [r k] that a constant W is multiplied with, X W. */
export interface Moments {
  /** k: of a Conv, input channels of a group times the kernel's size, in the order of its weight [o, c, ...kernel]. */
  readonly inputs: number;
  /** Groups of a Conv, each with rows of its own; else 1. */
  readonly groups: number;
  /** Rows that were counted, of each group. */
  readonly rows: number;
  /** X^T X by group: [g k k]. */
  readonly products: Float64Array;
  /** Sums of the rows by group: [g k]. */
  readonly sums: Float64Array;
}

/** Rows enough for a matrix of k x k, over all samples; of large values evenly spaced ones are taken. */
const usualRows = (k: number): number => Math.max(2 ** 14, 8 * k);
/** Of one sample no fewer than these, where there are as many. */
const fewestRows = 64;
/** Samples that share a run, where they can: their products are summed before they leave onnxruntime. */
const together = 16;

/**
 * Moments by key. `keys`: first outputs of MatMul, Gemm or Conv nodes of the main graph, one of whose operands is an initialiser. Each takes
 * 8 x groups x k x k bytes, and as much again while a sample runs: ask for a few at a time where they are large. Throws where a node is none
 * of these, there are no samples, or a moment is not finite.
 */
export async function secondMoments(
  graph: Graph,
  keys: readonly string[],
  samples: Samples,
  options: MomentsOptions,
): Promise<Map<string, Moments>> {
  if (samples.length < 1) throw new PareError(`${samples.name}: no samples`);
  if (!keys.length) return new Map();
  const raised = (graph.opsets.get("") ?? 1) < 13 ? raiseOpset(graph) : graph;
  const factors = keys.map((key) => factorOf(raised, key));
  const steps = await stepsFor(raised, factors, samples, options);
  const d = withOutputs(raised, [...new Set(factors.map((f) => f.data))]);
  const e = new Emitter(d, "float32", "moments/");
  const names = factors.map((f, i) => emit(e, f, steps[i]!));
  d.outputs = names
    .flatMap((n) => [n.products, n.sums, n.rows])
    .map((name) => ({ name, type: "undefined", shape: null }));
  const session = await options.engine.load(d, { threads: options.threads ?? 1 });
  try {
    const totals = new Map<string, { -readonly [K in keyof Moments]: Moments[K] }>();
    for (let done = 0; done < samples.length; ) {
      options.signal?.throwIfAborted();
      const several = Array.from({ length: Math.min(together, samples.length - done) }, (_, i) => done + i);
      const batch = several.length > 1 ? samples.batch(several) : null;
      const run = await session.run(batch ?? samples.feeds(done));
      const which = batch ? `one of the samples ${done} to ${several.at(-1)}` : `sample ${done}`;
      for (const [at, f] of factors.entries()) {
        const [products, sums] = [names[at]!.products, names[at]!.sums].map((n) => run[n]!);
        const [groups, inputs] = products!.dims as [number, number];
        const into = totals.get(f.key) ?? {
          inputs,
          groups,
          rows: 0,
          products: new Float64Array(groups * inputs * inputs),
          sums: new Float64Array(groups * inputs),
        };
        totals.set(f.key, into);
        into.rows += Number(run[names[at]!.rows]!.data[0]);
        add(
          into.products,
          products!,
          () => `${f.where}: its input has infinite or undefined moments for ${which} of ${samples.name}`,
        );
        add(into.sums, sums!, () => f.where);
      }
      done += batch ? several.length : 1;
      options.onProgress?.({ done, of: samples.length });
    }
    return totals;
  } finally {
    await session.release();
  }
}

function add(into: Float64Array, { data }: NDArray, complaint: () => string): void {
  const from = data as Float32Array;
  if (from.length !== into.length) throw new PareError(`${complaint()}: its size differs from sample to sample`);
  let sum = 0;
  for (let i = 0; i < from.length; i++) {
    into[i]! += from[i]!;
    sum += from[i]!;
  }
  if (!Number.isFinite(sum)) throw new PareError(complaint());
}

/** A product with a constant. */
interface Factor {
  readonly key: string;
  readonly node: Node;
  readonly where: string;
  /** The operand that is data. */
  readonly data: string;
  /** "rows": [.., k]; "columns": [.., k, r]; else the Conv's weight dims. */
  readonly lies: "rows" | "columns" | readonly number[];
  readonly half: boolean;
}

function factorOf(graph: Graph, key: string): Factor {
  const node = graph.nodes.find((n) => n.outputs[0] === key);
  if (!node) throw new PareError(`no node of the main graph computes ${quote(key)} first`, "usage");
  const where = `${plain(node.op)} ${quote(node.name || key)}`;
  const [a, b] = node.inputs;
  const constant = (name: string | undefined): boolean => name !== undefined && graph.initializers.has(name);
  const refuse = (why: string): PareError => new PareError(`${where}: ${why}`, "usage");
  if (node.domain !== "" || !["MatMul", "Gemm", "Conv"].includes(node.op))
    throw refuse("moments are of the inputs of MatMul, Gemm and Conv");
  const left = constant(a) && !constant(b);
  if (!left && !constant(b)) throw refuse("neither operand is an initialiser");
  const data = left ? b! : a!;
  const half = graph.initializers.get(left ? a! : b!)!.type === "float16";
  const flag = (name: string): boolean => {
    const found = node.attributes[name];
    return found?.kind === "int" && Number(found.value) !== 0;
  };
  if (node.op === "Conv") {
    if (left) throw refuse("its weight is data");
    return { key, node, where, data, half, lies: graph.initializers.get(b!)!.dims };
  }
  const columns = node.op === "Gemm" ? (left ? !flag("transB") : flag("transA")) : left;
  return { key, node, where, data, half, lies: columns ? "columns" : "rows" };
}

/** Every how-manieth row, or position along each axis of a Conv, is taken of each factor's data. */
type Steps = readonly number[];

/** By the first sample's sizes. */
async function stepsFor(
  graph: Graph,
  factors: readonly Factor[],
  samples: Samples,
  { engine, threads, enoughRows = usualRows }: MomentsOptions,
): Promise<Steps[]> {
  const value = (f: Factor): string => (typeof f.lies === "string" ? f.data : f.key);
  const d = withOutputs(graph, factors.map(value));
  const e = new Emitter(d, "float32", "moments/");
  const shapes = factors.map((f) => e.op("Shape", [value(f)]));
  d.outputs = shapes.map((name) => ({ name, type: "undefined", shape: null }));
  const session = await engine.load(d, { threads: threads ?? 1 });
  try {
    const run = await session.run(samples.feeds(0));
    return factors.map((f, i) => {
      const dims = Array.from(run[shapes[i]!]!.data as BigInt64Array, Number);
      const size = dims.reduce((p, x) => p * x, 1);
      const conv = typeof f.lies !== "string";
      const k = conv
        ? (f.lies as readonly number[]).slice(1).reduce((p, x) => p * x, 1)
        : dims.at(f.lies === "rows" ? -1 : -2)!;
      const rows = conv ? size / dims[1]! : size / k;
      const wanted = Math.max(fewestRows, enoughRows(k) / samples.length);
      const spare = Math.max(1, Math.floor(rows / wanted));
      if (!conv) return [spare];
      return hasAutoPad(f.node) ? dims.slice(2).map(() => 1) : spreadOver(dims.length - 2, spare);
    });
  } finally {
    await session.release();
  }
}
/** As even steps along `axes` axes as have a product of at most `most`, the larger ones last. */
function spreadOver(axes: number, most: number): number[] {
  const each = Math.floor(most ** (1 / axes) + 1e-9);
  const steps = Array<number>(axes).fill(each);
  for (let a = axes - 1; a >= 0 && (each + 1) ** (axes - a) * each ** a <= most; a--) steps[a] = each + 1;
  return steps;
}
function hasAutoPad({ attributes: { auto_pad: pad } }: Node): boolean {
  return pad?.kind === "string" && pad.value !== "NOTSET" && pad.value !== "VALID";
}

/** Appends what gives [g k k], [g k] and the number of rows [1]. */
function emit(e: Emitter, f: Factor, steps: Steps): { products: string; sums: string; rows: string } {
  const x = f.half ? e.cast(f.data, "float32") : f.data;
  // [n g k r]: columns of k, then those of all n beside one another.
  const columns = typeof f.lies === "string" ? vectors(e, x, f.lies, steps[0]!) : patches(e, x, f, f.lies, steps);
  const all = e.reshape(e.transpose(columns, [1, 2, 0, 3]), [0, 0, -1]);
  return {
    products: e.op("MatMul", [all, e.transpose(all, [0, 2, 1])]),
    sums: e.reduceSum(all, [2]),
    rows: e.op("Gather", [e.op("Shape", [all]), e.ints([2])], { axis: 0 }),
  };
}

/** [1 1 k r] */
function vectors(e: Emitter, x: string, lies: "rows" | "columns", step: number): string {
  const every = (v: string, axis: number): string =>
    step === 1 ? v : e.op("Slice", [v, e.ints([0]), e.ints([Number.MAX_SAFE_INTEGER]), e.ints([axis]), e.ints([step])]);
  if (lies === "rows") {
    const rows = every(e.op("Flatten", [x], { axis: -1 }), 0);
    return e.op("Unsqueeze", [e.transpose(rows, [1, 0]), e.ints([0, 1])]);
  }
  // [.., k, r] -> [n, k, r] -> [n, 1, k, r]
  const shape = e.op("Shape", [x]);
  const last = e.op("Slice", [shape, e.ints([-2]), e.ints([Number.MAX_SAFE_INTEGER])]);
  const batched = e.op("Reshape", [x, e.op("Concat", [e.ints([-1, 1]), last], { axis: 0 })]);
  return every(batched, 3);
}

/** [n g k r]: a Conv whose kernels each pick one element of the window. */
function patches(e: Emitter, x: string, { node, where }: Factor, weight: readonly number[], steps: Steps): string {
  const [, perGroup, ...kernel] = weight as [number, number, ...number[]];
  const attribute = node.attributes.group;
  const groups = attribute?.kind === "int" ? Number(attribute.value) : 1;
  const channels = groups * perGroup;
  const window = kernel.reduce((p, d) => p * d, 1);
  const pick = new Float32Array(channels * window * window);
  for (let c = 0; c < channels; c++) for (let k = 0; k < window; k++) pick[(c * window + k) * window + k] = 1;
  const kernels = e.constant(floats(pick, [channels * window, 1, ...kernel]), "pick");
  const { strides, pads, dilations, auto_pad } = node.attributes;
  if (strides && strides.kind !== "ints") throw new PareError(`${where}: its strides are no integers`);
  const given = strides?.value.map(Number) ?? kernel.map(() => 1);
  const picked = e.op("Conv", [x, kernels], {
    group: channels,
    kernel_shape: kernel,
    strides: given.map((s, i) => s * steps[i]!),
    ...(pads ? { pads } : {}),
    ...(dilations ? { dilations } : {}),
    ...(auto_pad ? { auto_pad } : {}),
  });
  return e.reshape(picked, [0, groups, perGroup * window, -1]);
}
