/** A crew of one session that makes whole steps, several to a run: no gradient leaves the engine. Threads are onnxruntime's own, which divide outputs and never sums. */
import { Random } from "../data/random.js";
import type { NDArray, TypedArray } from "../engine/engine.js";
import { sizeOf } from "../graph/tensor.js";
import type { Crew, CrewOptions } from "./crew.js";
import { drawMask } from "./draw-mask.js";
import { feedArray, type Job, type Plan, statisticsLength } from "./job.js";
import { manySteps } from "./many-steps.js";
import type { Optimizer } from "./optimizer.js";

/** Runs are kept this short, so that progress, aborts and checkpoints are not kept waiting. */
const runMs = 100;
/** Most steps of a run, and most bytes of what they read. */
const limits = { steps: 32, bytes: 16e6 };

/** What several steps read, one after another, and the jobs that are its parts. */
interface Rows {
  readonly feeds: readonly TypedArray[];
  readonly jobs: readonly Job[];
}

export async function fusedCrew({ plan, names, engine, workers }: CrewOptions): Promise<Crew> {
  const collected = [plan.loss, ...plan.statistics.map((s) => s.batch)];
  const each = [...plan.feeds, ...plan.dropouts.map((d) => ({ name: d.input }))].map((f) => f.name);
  const perStep = [...each, ...names.scalars, ...(names.shrink ? [names.shrink] : [])];
  const run = manySteps({ graph: plan.graph, names, layout: plan.layout, each: perStep, collected });
  const session = await engine.load(run.graph, { threads: workers });
  const inputs = [
    ...plan.feeds,
    ...plan.dropouts.map((d) => ({ name: d.input, type: "float32" as const, dims: d.dims })),
  ];
  const bytes = inputs.reduce((sum, f) => sum + sizeOf(f.dims) * (f.type === "int64" ? 8 : 4), 0);
  const most = Math.max(1, Math.min(limits.steps, Math.floor(limits.bytes / bytes)));
  const sets = [newRows(plan, most), newRows(plan, most)] as const;
  const masks = plan.dropouts.map((d) => new Float32Array(most * sizeOf(d.dims)));
  let [set, count, stepsPerRun]: [0 | 1, number, number] = [0, 0, 1];

  const feedsOf = (optimizer: Optimizer, rates: readonly number[]): Record<string, NDArray> => {
    const feeds: Record<string, NDArray> = {
      [run.steps]: { type: "int64", dims: [], data: BigInt64Array.of(BigInt(count)) },
    };
    const rows = (name: string, type: NDArray["type"], dims: readonly number[], data: TypedArray): void => {
      feeds[run.nameOf(name)] = { type, dims: [count, ...dims], data: data.subarray(0, count * sizeOf(dims)) };
    };
    plan.feeds.forEach(({ name, type, dims }, i) => {
      rows(name, type, dims, sets[set].feeds[i]!);
    });
    plan.dropouts.forEach((d, k) => {
      const size = sizeOf(d.dims);
      for (let i = 0; i < count; i++) {
        const [at, micro] = sets[set].jobs[i]!.place as unknown as [number, number];
        drawMask(masks[k]!.subarray(i * size, (i + 1) * size), d.ratio, new Random(plan.seed, 1, at, micro, k));
      }
      rows(d.input, "float32", d.dims, masks[k]!);
    });
    for (const [name, array] of Object.entries(optimizer.arrays())) feeds[run.nameOf(name)] = array;
    for (const [name, values] of Object.entries(optimizer.scalars(rates)))
      rows(name, "float32", [], Float32Array.from(values));
    return feeds;
  };
  return {
    sets: [sets[0].jobs, sets[1].jobs],
    get stepsPerRun() {
      return stepsPerRun;
    },
    start(which, number) {
      [set, count] = [which, number];
    },
    async finish(optimizer, rates) {
      const began = performance.now();
      const into: Record<string, NDArray> = {};
      for (const [name, array] of Object.entries(optimizer.nextArrays())) into[run.nameOf(name)] = array;
      const fetches = [...Object.keys(into), ...collected.map(run.nameOf)];
      const results = await session.run(feedsOf(optimizer, rates), fetches, into);
      const values = (name: string): Float32Array => results[run.nameOf(name)]!.data as Float32Array;
      sets[set].jobs.slice(0, count).forEach((job, i) => {
        job.loss[0] = values(plan.loss)[i]!;
        for (const { batch, at, length } of plan.statistics)
          job.statistics.set(values(batch).subarray(i * length, (i + 1) * length), at);
      });
      optimizer.advance(count);
      const msPerStep = (performance.now() - began) / count;
      stepsPerRun = Math.max(1, Math.min(most, Math.floor(runMs / msPerStep)));
    },
    release: () => session.release(),
  };
}

function newRows(plan: Plan, steps: number): Rows {
  const feeds = plan.feeds.map((f) => feedArray({ ...f, dims: [steps, ...f.dims] }, allocate));
  const jobs = Array.from({ length: steps }, (_, i): Job => {
    const parts = plan.feeds.map(({ dims }, k) => feeds[k]!.subarray(i * sizeOf(dims), (i + 1) * sizeOf(dims)));
    return {
      feeds: parts,
      gradient: new Float32Array(0),
      statistics: new Float32Array(statisticsLength(plan)),
      loss: new Float64Array(1),
      place: new Int32Array(2),
    };
  });
  return { feeds, jobs };
}
const allocate = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
