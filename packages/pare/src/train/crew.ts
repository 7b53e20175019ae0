/** Who makes the steps: one thread here, several in workers.ts. The results do not depend on who. */
import type { Engine, NDArray } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import type { UpdateNames } from "../optimizers/update-graph.js";
import { mostJobs } from "./claims.js";
import { fusedCrew } from "./fused-crew.js";
import { type Job, newJob, type Plan } from "./job.js";
import type { Optimizer } from "./optimizer.js";
import { newReplica } from "./replica.js";

/** Jobs come in two sets, so that the next step's data can be filled in while this step runs. Both sets share their results' memory. */
export interface Crew {
  readonly sets: readonly [readonly Job[], readonly Job[]];
  /** How many steps the next run may take. Above 1 a step is one job, and a run's jobs are its steps. */
  readonly stepsPerRun: number;
  /** Starts the gradients of the first `count` jobs of a set at the optimizer's vector. */
  start(set: 0 | 1, count: number, optimizer: Optimizer): void;
  /** Ends what was started and moves the optimizer's vector by it, at one learning rate for each step. Rejects with the first job's error; the vector then stays. */
  finish(optimizer: Optimizer, rates: readonly number[]): Promise<void>;
  release(): Promise<void>;
}
export interface CrewOptions {
  readonly plan: Plan;
  /** The update's own graph; null where the plan's graph makes it. */
  readonly update: Graph | null;
  /** What the update's inputs and outputs are called. */
  readonly names: UpdateNames;
  readonly engine: Engine;
  /** Micro-batches of a full batch. */
  readonly jobs: number;
  readonly workers: number;
}

/** A crew of so many threads, as far as there is work for them. */
export async function crewFor(o: CrewOptions): Promise<Crew> {
  if (!o.update) return fusedCrew(o);
  const threads = Math.min(o.workers, o.jobs);
  if (threads === 1 || o.jobs > mostJobs || o.engine.name !== "onnxruntime-node") return soloCrew(o);
  const { threadedCrew } = await import("./workers.js");
  return threadedCrew(o, threads);
}

const allocate = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

/** All jobs on this thread, one after another. */
async function soloCrew({ plan, update, engine, jobs }: CrewOptions): Promise<Crew> {
  const replica = await newReplica(plan, engine);
  const updater = await newUpdater(update!, engine);
  const first = Array.from({ length: jobs }, () => newJob(plan, allocate));
  const sets = [first, first.map((job) => newJob(plan, allocate, job))] as const;
  let started: readonly Job[] = [];
  return {
    sets,
    stepsPerRun: 1,
    start(set, count, optimizer) {
      replica.load(optimizer.vector);
      started = sets[set].slice(0, count);
    },
    async finish(optimizer, [rate]) {
      for (const job of started) await replica.run(job);
      await updater.run(
        optimizer,
        started.map((job) => job.gradient),
        rate!,
      );
    },
    async release() {
      await updater.release();
      await replica.release();
    },
  };
}

export interface Updater {
  /** Moves the optimizer's vector by the mean of these gradients. */
  run(optimizer: Optimizer, gradients: readonly Float32Array[], rate: number): Promise<void>;
  release(): Promise<void>;
}
/** The update as a session of its own. */
export async function newUpdater(graph: Graph, engine: Engine): Promise<Updater> {
  const session = await engine.load(graph);
  let zeros = new Float32Array(0);
  return {
    async run(optimizer, gradients, rate) {
      const into = optimizer.nextArrays();
      const all: Record<string, NDArray> = { ...optimizer.arrays() };
      const scalar = (name: string, value: number): void => {
        all[name] = { type: "float32", dims: [], data: Float32Array.of(value) };
      };
      for (const [name, values] of Object.entries(optimizer.scalars([rate]))) scalar(name, values[0]!);
      const { scale } = optimizer.update.names;
      if (scale) scalar(scale, 1 / gradients.length);
      const { length, gradients: inputs } = optimizer.options;
      // The last step of an epoch may have fewer micro-batches.
      if (gradients.length < inputs && zeros.length === 0) zeros = new Float32Array(length);
      for (let j = 0; j < inputs; j++) all[`g${j}`] = { type: "float32", dims: [length], data: gradients[j] ?? zeros };
      await session.run(all, Object.keys(into), into);
      optimizer.record(gradients);
      optimizer.advance(1);
    },
    release: () => session.release(),
  };
}
