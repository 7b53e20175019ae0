/** One thread's session over the training graph: the weights and a job come in, the job's gradient, statistics and loss are filled in. */
import { Random } from "../data/random.js";
import type { Engine, NDArray, TypedArray } from "../engine/engine.js";
import { sizeOf } from "../graph/tensor.js";
import { drawMask } from "./draw-mask.js";
import { feedArray, type Job, type Plan, statisticsLength } from "./job.js";
import { expand, reduce } from "./layout.js";

export interface Replica {
  /** Takes the vector's values for the runs that follow; they must not change until these are done. */
  load(vector: Float32Array): void;
  run(job: Job): Promise<void>;
  release(): Promise<void>;
}

type Arrays = Record<string, NDArray>;
const isShared = (a: TypedArray): boolean =>
  typeof SharedArrayBuffer !== "undefined" && a.buffer instanceof SharedArrayBuffer;
const plain = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

/** Session and arrays are made once and reused: memory stays flat. Arrays that the engine can use as they are are not copied. */
export async function newReplica(plan: Plan, engine: Engine): Promise<Replica> {
  const session = await engine.load(plan.graph);
  const { layout } = plan;
  const local = {
    weights: new Float32Array(layout.weights),
    gradient: new Float32Array(layout.weights),
    statistics: new Float32Array(statisticsLength(plan)),
    feeds: plan.feeds.map((f) => feedArray(f, plain)),
  };
  const loss: NDArray = { type: "float32", dims: [], data: new Float32Array(1) };
  const fetches = [plan.loss, ...plan.gradients, ...plan.statistics.map((s) => s.batch)];
  const masks: Arrays = {};
  for (const d of plan.dropouts)
    masks[d.input] = { type: "float32", dims: d.dims, data: new Float32Array(sizeOf(d.dims)) };

  const weightViews = cached(
    (from: Float32Array): Arrays => views(plan, from, (i) => layout.segments[i]!.parameter.name),
  );
  const gradientViews = cached((into: Float32Array): Arrays => views(plan, into, (i) => plan.gradients[i]!));
  const outputs: Arrays = { [plan.loss]: loss };
  for (const { batch, at, length } of plan.statistics)
    outputs[batch] = { type: "float32", dims: [length], data: local.statistics.subarray(at, at + length) };

  let weights: Arrays = {};
  return {
    load(vector) {
      const own = layout.direct && !isShared(vector) ? vector : local.weights;
      expand(layout, vector, own);
      weights = weightViews(own);
    },
    async run(job) {
      const feeds: Arrays = { ...weights, ...masks };
      plan.feeds.forEach(({ name, type, dims }, i) => {
        const given = job.feeds[i]!;
        const data = isShared(given) ? local.feeds[i]! : given;
        if (data !== given) (data as Float32Array).set(given as Float32Array);
        feeds[name] = { type, dims, data };
      });
      plan.dropouts.forEach((d, k) => {
        const random = new Random(plan.seed, 1, job.place[0]!, job.place[1]!, k);
        drawMask(masks[d.input]!.data as Float32Array, d.ratio, random);
      });
      const gradient = layout.direct && !isShared(job.gradient) ? job.gradient : local.gradient;
      await session.run(feeds, fetches, { ...outputs, ...gradientViews(gradient) });
      reduce(layout, gradient, job.gradient);
      job.statistics.set(local.statistics);
      job.loss[0] = (loss.data as Float32Array)[0]!;
    },
    release: () => session.release(),
  };
}

/** The parameters' parts of a flat array, by the names that `nameOf` gives. */
function views(plan: Plan, flat: Float32Array, nameOf: (i: number) => string): Arrays {
  const out: Arrays = {};
  plan.layout.segments.forEach(({ parameter, offset, length }, i) => {
    out[nameOf(i)] = { type: "float32", dims: parameter.dims, data: flat.subarray(offset, offset + length) };
  });
  return out;
}

function cached<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) known.set(key, (value = make(key)));
    return value;
  };
}
