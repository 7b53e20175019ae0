/** Options come in, checked; the training graph, the optimizer and the flat vectors that the loop works on go out. */
import { type Fitting, fittings } from "../data/fit.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { draft, feeds, type Graph, type Tensor } from "../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../graph/tensor.js";
import type { UpdateOptions } from "../optimizers/update-graph.js";
import { targetsOf } from "./fill.js";
import type { Plan } from "./job.js";
import { type Layout, layoutOf, trainable } from "./layout.js";
import { defaultMicroBatch } from "./micro-batch.js";
import { Optimizer, type Pull } from "./optimizer.js";
import type { EpochMetrics, Penalty, TrainOptions, TrainResult } from "./options.js";
import { stepGraph } from "./step-graph.js";
import { teacherFits, teacherTable } from "./teacher.js";
import { trainingGraph } from "./training-graph.js";

/** How many samples at a time, and how often. */
export interface Course {
  readonly batch: number;
  readonly microBatch: number;
  /** Micro-batches of a full batch. */
  readonly jobs: number;
  readonly stepsPerEpoch: number;
  readonly steps: number;
}

/** Throws PareError for sizes that make no sense. */
export function courseOf(o: TrainOptions, defaultMicro: (batch: number) => number): Course {
  const whole = (name: string, value: number): number => {
    if (!(Number.isInteger(value) && value > 0))
      throw new PareError(`${name} ${value} should be a whole number from 1`, "usage");
    return value;
  };
  whole("epochs", o.epochs);
  const { length, name } = o.data;
  if (length < 1) throw new PareError(`data "${name}" has no samples`);
  const batch = Math.min(whole("batchSize", o.batchSize ?? 128), length);
  const wanted = whole("microBatch", o.microBatch ?? defaultMicro(batch));
  const microBatch = Math.min(wanted, batch);
  if (batch % microBatch !== 0 && batch !== length)
    throw new PareError(`batchSize ${batch} should be a multiple of microBatch ${microBatch}`, "usage");
  const jobs = Math.floor(batch / microBatch);
  const rest = Math.floor((length % batch) / microBatch);
  const stepsPerEpoch = Math.floor(length / batch) + (rest > 0 ? 1 : 0);
  return { batch, microBatch, jobs, stepsPerEpoch, steps: stepsPerEpoch * o.epochs };
}

export interface Training {
  readonly plan: Plan;
  /** The update's own graph; null where the gradient run makes it. */
  readonly update: Graph | null;
  readonly course: Course;
  /** How the data feed the graph's own inputs. */
  readonly inputs: readonly Fitting[];
  readonly classes: number;
  readonly optimizer: Optimizer;
  /** Running statistics, in the order of the plan's. */
  readonly running: Float32Array;
  /** The teacher's outputs for every sample. */
  readonly soft: Float32Array | null;
  /** Moves the running statistics by those of one micro-batch. */
  follow(batch: Float32Array): void;
  /** Applies the option `proximal` to the weights that an update at this rate has made. */
  proximal(rate: number, step: number): void;
  /** Asks the option `remask` before an epoch. */
  remask(epoch: number): Promise<void>;
  /** The masks in force. */
  masks(): ReadonlyMap<string, Uint8Array>;
  setMasks(masks: ReadonlyMap<string, Uint8Array>): void;
  result(vector: Float32Array, running: Float32Array, history: readonly EpochMetrics[]): TrainResult;
}

export async function prepare(graph: Graph, o: TrainOptions, engine: Engine): Promise<Training> {
  const inputs = fittings(o.data, feeds(graph));
  const course = courseOf(o, (batch) => defaultMicroBatch(graph, inputs, batch));
  const t = trainingGraph(graph, {
    inputs,
    microBatch: course.microBatch,
    loss: o.loss ?? "cross-entropy",
    targets: targetsOf(o.data),
    ...(o.frozen ? { frozen: o.frozen } : {}),
    ...(o.dropout ? { dropout: o.dropout } : {}),
    ...(o.softTargets ? { soft: { ...o.softTargets, fed: teacherFits(o), data: o.data } } : {}),
  });
  const layout = layoutOf(t.parameters, o.codebooks);
  let at = 0;
  const statistics = t.statistics.map((s) => {
    const length = sizeOf(graph.initializers.get(s.running)!.dims);
    at += length;
    return { ...s, at: at - length, length };
  });
  const running = new Float32Array(at);
  for (const s of statistics) running.set(valuesOf(graph, s.running), s.at);

  let masks: ReadonlyMap<string, Uint8Array> = o.masks ?? new Map();
  const mask = trainable(layout, masks);
  const updateOptions: UpdateOptions = {
    length: layout.vector,
    gradients: course.jobs,
    optimizer: o.optimizer ?? { kind: "sgd", momentum: 0.9 },
    ...(o.weightDecay ? { weightDecay: o.weightDecay } : {}),
    ...(o.clipNorm === undefined ? {} : { clipNorm: o.clipNorm }),
    // Gaps have no gradient: without masks and fixed centroids there is nothing to mask.
    ...(o.penalty ? { pulled: true } : {}),
    masked: masks.size > 0 || o.remask !== undefined || !layout.direct,
  };
  if ((o.penalty || o.proximal || o.path) && !layout.direct)
    throw new PareError("shared values cannot be trained with a penalty or a recorded path", "usage");
  const step = stepGraph(t, layout, updateOptions, o.path);
  const plan: Plan = {
    graph: step.graph,
    loss: t.loss,
    feeds: t.feeds,
    layout,
    gradients: step.separate ? t.gradients : [],
    statistics,
    dropouts: t.dropouts,
    seed: o.seed ?? 0,
  };
  const start = startingVector(graph, layout, mask);
  const pull = o.penalty ? pullOf(layout, o.penalty) : null;
  const before = o.path ? weightsOf(layout, start) : null;
  const optimizer = new Optimizer(layout, updateOptions, step.update, start, mask, pull, o.path);
  const soft = o.softTargets && teacherFits(o) ? await teacherTable(o.softTargets.teacher, o, engine, t.classes) : null;
  const setMasks = (next: ReadonlyMap<string, Uint8Array>): void => {
    optimizer.remask(trainable(layout, next));
    masks = next;
  };
  return {
    plan,
    update: step.separate,
    course,
    inputs,
    classes: t.classes,
    optimizer,
    running,
    soft,
    follow(batch) {
      for (const { at: from, length, momentum } of statistics)
        for (let i = from; i < from + length; i++) running[i] = momentum * running[i]! + (1 - momentum) * batch[i]!;
    },
    proximal(rate, step) {
      const { vector } = optimizer;
      const views = layout.segments.map(
        ({ parameter, at: from, count }) => [parameter.name, vector.subarray(from, from + count)] as const,
      );
      o.proximal?.apply(new Map(views), { rate, step, steps: course.steps });
    },
    async remask(epoch) {
      const next = await o.remask?.(epoch, weightsOf(layout, optimizer.vector), masks);
      if (next) setMasks(next);
    },
    masks: () => masks,
    setMasks,
    result(trained, runningNow, history) {
      const out = draft(graph);
      for (const [name, values] of weightsOf(layout, trained))
        out.initializers.set(name, replaced(graph.initializers.get(name)!, values));
      for (const s of statistics)
        out.initializers.set(
          s.running,
          replaced(graph.initializers.get(s.running)!, runningNow.slice(s.at, s.at + s.length)),
        );
      const codebooks = new Map<string, Float32Array>();
      for (const { parameter, at: from, count, codebook } of layout.segments)
        if (codebook) codebooks.set(parameter.name, trained.slice(from, from + count));
      const { work } = optimizer;
      const path = work && before ? { path: { work: weightsOf(layout, Float32Array.from(work)), start: before } } : {};
      return { graph: out, history, codebooks, masks, microBatch: course.microBatch, ...path };
    },
  };
}

const replaced = (old: Tensor, values: Float32Array): Tensor => ({ ...old, ...floats(values, old.dims) });

function valuesOf(graph: Graph, name: string): Float32Array {
  const values = float32sOf(graph.initializers.get(name)!);
  const bad = values.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0)
    throw new PareError(`initialiser "${name}" holds ${values[bad]} at element ${bad}: it cannot be trained`);
  return values;
}

/** The penalty as vectors; throws PareError (usage) where it does not fit the trained weights. */
function pullOf(layout: Layout, { strength, importance, anchor }: Penalty): Pull {
  if (!(strength >= 0 && Number.isFinite(strength)))
    throw new PareError(`penalty: strength ${strength} should be a number from 0`, "usage");
  const pull = { strength: new Float32Array(layout.vector), anchor: new Float32Array(layout.vector) };
  for (const [name, values] of importance) {
    const segment = layout.segments.find((s) => s.parameter.name === name);
    const still = anchor.get(name);
    if (!segment) throw new PareError(`penalty: "${name}" is not a trained initialiser`, "usage");
    if (values.length !== segment.length || still?.length !== segment.length)
      throw new PareError(
        `penalty: "${name}" has ${segment.length} elements, its importance ${values.length}, its anchor ${still?.length ?? "none"}`,
        "usage",
      );
    pull.strength.set(
      values.map((v) => v * strength),
      segment.at,
    );
    pull.anchor.set(still, segment.at);
  }
  return pull;
}

/** The graph's weights, what is masked as 0; or the codebooks' centroids. */
function startingVector(graph: Graph, layout: Layout, mask: Float32Array): Float32Array {
  const vector = new Float32Array(layout.vector);
  for (const { parameter, at, count, codebook } of layout.segments) {
    vector.set(codebook ? codebook.centroids : valuesOf(graph, parameter.name), at);
    if (!codebook) for (let i = at; i < at + count; i++) if (mask[i] === 0) vector[i] = 0;
  }
  return vector;
}

/** Every parameter's full values, as copies. */
function weightsOf(layout: Layout, vector: Float32Array): Map<string, Float32Array> {
  const out = new Map<string, Float32Array>();
  for (const { parameter, at, count, codebook } of layout.segments) {
    const values = vector.slice(at, at + count);
    out.set(parameter.name, codebook ? Float32Array.from(codebook.indices, (i) => values[i]!) : values);
  }
  return out;
}
