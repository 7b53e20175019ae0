/** A graph, products with constants in it and samples enter; the second moments of what the constants are multiplied with leave, computed within onnxruntime. */
import { type Inferred, infer } from "../analyze/infer.js";
import type { Samples } from "../data/samples.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { plain, quote } from "../graph/quote.js";
import { sizeOf } from "../graph/tensor.js";
import type { Unrolled } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { opsetOf, siteOf } from "../ops/site.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { withOutputs } from "./outputs.js";
import { together } from "./together.js";

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

/**
 * Moments by key. `keys`: first outputs of nodes of the main graph that are products of matrices, one of them an initialiser. Each takes
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
  const { graph: open, most } = await together(graph, samples, options.engine);
  const raised = (open.opsets.get("") ?? 1) < 13 ? raiseOpset(open) : open;
  const dims = Object.entries(samples.feeds(0)).map(([name, array]) => [name, array.dims]);
  const { types } = infer(raised, { inputs: Object.fromEntries(dims) });
  const { enoughRows = usualRows } = options;
  const enough = (k: number): number => Math.max(fewestRows, enoughRows(k) / samples.length);
  const factors = keys.map((key) => factorOf(raised, types, key, enough));
  const d = withOutputs(raised, [...new Set(factors.map((f) => f.data))]);
  const e = new Emitter(d, "float32", "moments/");
  const names = factors.map((f) => emit(e, f));
  d.outputs = names
    .flatMap((n) => [n.products, n.sums, n.rows])
    .map((name) => ({ name, type: "undefined", shape: null }));
  const session = await options.engine.load(d, { threads: options.threads ?? 1 });
  try {
    const totals = new Map<string, { -readonly [K in keyof Moments]: Moments[K] }>();
    for (let done = 0; done < samples.length; ) {
      options.signal?.throwIfAborted();
      const several = Array.from({ length: Math.min(most, samples.length - done) }, (_, i) => done + i);
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
  readonly where: string;
  /** The operand that is data. */
  readonly data: string;
  readonly half: boolean;
  readonly as: Unrolled;
  /** Of its columns about one in so many is taken. */
  readonly every: number;
}

/** `types`: for the first sample's dims. `enough`: columns wanted of one sample. */
function factorOf(graph: Graph, types: Inferred["types"], key: string, enough: (k: number) => number): Factor {
  const node = graph.nodes.find((n) => n.outputs[0] === key);
  if (!node) throw new PareError(`no node of the main graph computes ${quote(key)} first`, "usage");
  const where = `${plain(node.op)} ${quote(node.name || key)}`;
  const refuse = (why: string): PareError => new PareError(`${where}: ${why}`, "usage");
  const typeOf = (name: string) => types.get(name) ?? null;
  const record = recordOf(node);
  if (!record?.unroll) throw refuse("moments are of the inputs of products with a constant");
  const weight = ([1, 0] as const).find((i) => graph.initializers.has(node.inputs[i] ?? ""));
  if (weight === undefined) throw refuse("neither operand is an initialiser");
  const place = { node, opset: opsetOf(graph, node.domain), x: node.inputs.map(typeOf) };
  const as = record.unroll(siteOf(record, place), weight);
  if (!as) throw refuse("it is no plain product of matrices");
  const shape = typeOf(key)?.shape;
  const known = shape?.every((d) => typeof d === "number");
  const columns = known ? sizeOf(shape as readonly number[]) / as.groups / as.outputs : 1;
  const half = graph.initializers.get(node.inputs[weight]!)!.type === "float16";
  const every = Math.max(1, Math.floor(columns / enough(as.inputs)));
  return { key, where, data: node.inputs[1 - weight]!, half, as, every };
}

/** Appends what gives [g k k], [g k] and the number of rows [1]. */
function emit(e: Emitter, { data, half, as, every }: Factor): { products: string; sums: string; rows: string } {
  const x = as.x(e, half ? e.cast(data, "float32") : data, every);
  return {
    products: e.op("MatMul", [x, e.transpose(x, [0, 2, 1])]),
    sums: e.reduceSum(x, [2]),
    rows: e.op("Gather", [e.op("Shape", [x]), e.ints([2])], { axis: 0 }),
  };
}
