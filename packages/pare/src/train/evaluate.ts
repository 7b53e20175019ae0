/** A graph and data come in; loss, top-1 and top-5 over the data go out. */
import type { Dataset, Field } from "../data/dataset.js";
import { fit } from "../data/fit.js";
import { spread } from "../data/views.js";
import { defaultEngine } from "../engine/default-engine.js";
import type { Engine, NDArray, Session } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { float16Value } from "../graph/float16.js";
import { emptyGraph, feeds, type Graph } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import { fixedBatch, openBatch } from "../passes/rebatch.js";
import { checkLabels } from "./fill.js";
import { lossOf, type Rows } from "./loss-values.js";
import type { LossFunction, LossKind, Metrics } from "./options.js";
import { softmaxBehind } from "./softmax-behind.js";

export interface EvaluateOptions {
  readonly engine?: Engine;
  /** What `loss` in the result means; cross-entropy for data with labels, else the mean squared error. */
  readonly loss?: LossKind | LossFunction;
  readonly batchSize?: number;
  /** Only this many samples, evenly spread. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** Metrics of `graph`'s first output over `data`. Throws PareError for data that does not fit, and labels out of range. */
export async function evaluate(graph: Graph, data: Dataset, options: EvaluateOptions = {}): Promise<Metrics> {
  const engine = options.engine ?? (await defaultEngine());
  const fitted = fit(data, feeds(graph));
  const indices = spread(data.length, Math.min(options.limit ?? data.length, data.length));
  const { model, size } = batched(graph, options.batchSize ?? 256);
  const session = await engine.load(model);
  const losses = new Losses(engine, options.loss);
  const total = { samples: 0, loss: 0, top1: 0, top5: 0, labelled: false };
  try {
    for (let from = 0; from < indices.length; from += size.batch) {
      options.signal?.throwIfAborted();
      const some = indices.subarray(from, Math.min(from + size.batch, indices.length));
      const batch = fitted.batch(some);
      const outputs = await run(session, graph, fitted.fields, batch.inputs, some.length, size);
      const rows = rowsOf(graph, outputs[0]!, some.length);
      if (batch.labels) checkLabels(data, batch.labels, rows.width, some);
      total.samples += some.length;
      total.loss += (await losses.mean(outputs, rows, batch.labels, batch.targets)) * some.length;
      if (batch.labels) {
        total.labelled = true;
        countTop(rows, batch.labels, total);
      }
    }
  } finally {
    await session.release();
    await losses.release();
  }
  const share = (count: number): number => (total.labelled ? count / total.samples : Number.NaN);
  const top1 = share(total.top1);
  return { samples: total.samples, loss: total.loss / total.samples, top1, top5: share(total.top5), error: 1 - top1 };
}

interface BatchSize {
  readonly batch: number;
  /** The graph takes exactly this many. */
  readonly fixed: boolean;
}
/** A graph for batches of `wanted`: one of fixed batch is rewritten where shape inference agrees, else fed as it wants. */
function batched(graph: Graph, wanted: number): { model: Graph; size: BatchSize } {
  if (!(Number.isInteger(wanted) && wanted > 0))
    throw new PareError(`batch size ${wanted} should be a whole number from 1`, "usage");
  const fixed = fixedBatch(graph);
  if (fixed === null) return { model: graph, size: { batch: wanted, fixed: false } };
  const free = openBatch(graph);
  if (free !== graph) return { model: free, size: { batch: wanted, fixed: false } };
  return { model: graph, size: { batch: fixed, fixed: true } };
}

/** Runs some samples; a graph of fixed batch gets the last ones padded with zeros. */
async function run(
  session: Session,
  graph: Graph,
  fields: readonly Field[],
  arrays: readonly NDArray[],
  count: number,
  size: BatchSize,
): Promise<NDArray[]> {
  const rows = size.fixed ? size.batch : count;
  const fed: Record<string, NDArray> = {};
  fields.forEach(({ name, type, dims }, i) => {
    let { data } = arrays[i]!;
    if (rows !== count && !Array.isArray(data)) {
      const padded = new (data.constructor as new (n: number) => Float32Array)(rows * sizeOf(dims));
      padded.set(data as Float32Array);
      data = padded;
    }
    fed[name!] = { type, dims: [rows, ...dims], data };
  });
  const names = graph.outputs.map((v) => v.name);
  const results = await session.run(fed, names);
  return names.map((name) => {
    const { type, dims, data } = inFloat32(results[name]!);
    if (rows === count || dims[0] !== rows) return { type, dims, data };
    return { type, dims: [count, ...dims.slice(1)], data: data.slice(0, (data.length / rows) * count) as typeof data };
  });
}

/** Where a NaN comes from: a weight, or else the computation. */
function whyNaN(graph: Graph): string {
  for (const [name, tensor] of graph.initializers)
    if (tensor.type === "float32" && float32sOf(tensor).some(Number.isNaN)) return `initialiser "${name}" holds NaN`;
  return "no weight is NaN, so the computation overflows or the data does not suit the model";
}

const inFloat32 = (a: NDArray): NDArray =>
  a.type === "float16" ? { ...a, type: "float32", data: Float32Array.from(a.data as Uint16Array, float16Value) } : a;

function rowsOf(graph: Graph, output: NDArray, count: number): Rows {
  const { type, dims, data } = output;
  if (type !== "float32" || dims[0] !== count)
    throw new PareError(
      `output "${graph.outputs[0]!.name}" is ${type} [${dims}] for a batch of ${count}: evaluation reads a float32 output whose first axis is the batch`,
    );
  const logits = endsInSoftmax(graph) ? (data as Float32Array).map((p) => Math.log(Math.max(p, 1e-37))) : data;
  const rows = { data: logits as Float32Array, count, width: sizeOf(dims.slice(1)) };
  if (rows.data.some(Number.isNaN))
    throw new PareError(`output "${graph.outputs[0]!.name}" is not a number: ${whyNaN(graph)}`);
  return rows;
}

/** Whether the first output is probabilities: their logarithms are then the logits. */
const endsInSoftmax = (graph: Graph): boolean => softmaxBehind(graph, graph.outputs[0]!.name) !== null;

/** The rank of the label's score among its row; of equal scores the lower class wins. */
function countTop(rows: Rows, labels: Int32Array, total: { top1: number; top5: number }): void {
  for (let i = 0; i < rows.count; i++) {
    const row = rows.data.subarray(i * rows.width, (i + 1) * rows.width);
    const label = labels[i]!;
    const score = row[label]!;
    let above = 0;
    for (let k = 0; k < row.length; k++) if (row[k]! > score || (k < label && row[k] === score)) above++;
    if (above < 1) total.top1++;
    if (above < 5) total.top5++;
  }
}

/** The loss of a batch: built-in ones here, a user's through a graph of its own nodes. */
class Losses {
  #session: Session | null = null;
  #names: readonly string[] = [];
  constructor(
    readonly engine: Engine,
    readonly loss: LossKind | LossFunction | undefined,
  ) {}

  async mean(outputs: readonly NDArray[], rows: Rows, labels?: Int32Array, targets?: NDArray): Promise<number> {
    if (typeof this.loss !== "function") {
      const kind: LossKind = this.loss ?? (labels ? "cross-entropy" : "mse");
      return lossOf(kind, rows, labels, targets?.data as Float32Array | undefined);
    }
    const t: NDArray = labels
      ? { type: "int64", dims: [labels.length], data: BigInt64Array.from(labels, BigInt) }
      : targets!;
    this.#session ??= await this.#load(this.loss, outputs, t);
    const feeds = Object.fromEntries([...outputs, t].map((array, i) => [this.#names[i]!, array]));
    const [value] = Object.values(await this.#session.run(feeds));
    return Number((value!.data as Float32Array)[0]);
  }
  async #load(loss: LossFunction, outputs: readonly NDArray[], targets: NDArray): Promise<Session> {
    const graph = emptyGraph("loss", 21);
    const symbolic = ({ dims }: NDArray) => ["n", ...dims.slice(1)];
    this.#names = [...outputs.map((_, i) => `output${i}`), "targets"];
    [...outputs, targets].forEach((array, i) => {
      graph.inputs.push({ name: this.#names[i]!, type: array.type, shape: symbolic(array) });
    });
    const name = loss(new Emitter(graph), this.#names.slice(0, -1), "targets");
    graph.outputs.push({ name, type: "float32", shape: null });
    return this.engine.load(graph);
  }
  async release(): Promise<void> {
    await this.#session?.release();
  }
}
