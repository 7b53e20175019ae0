/** Who runs the gradient jobs of a step: one thread here, several in workers.ts. The results do not depend on who. */
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { type Job, newJob, type Plan } from "./job.js";
import { newReplica } from "./replica.js";

/** Jobs come in two sets, so that the next step's data can be filled in while this step runs. Both sets share their results' memory. */
export interface Crew {
  readonly sets: readonly [readonly Job[], readonly Job[]];
  /** Starts the first `count` jobs of a set with these values of the layout's vector. */
  start(set: 0 | 1, count: number, vector: Float32Array): void;
  /** When all that was started is done. Rejects with the first job's error. */
  finish(): Promise<void>;
  release(): Promise<void>;
}

/** A crew of `workers` threads, as many as there are jobs for. */
export async function crewFor(plan: Plan, engine: Engine, jobs: number, workers: number): Promise<Crew> {
  if (!(Number.isInteger(workers) && workers >= 1))
    throw new PareError(`workers ${workers} should be a whole number from 1`, "usage");
  const threads = Math.min(workers, jobs);
  if (threads === 1 || engine.name !== "onnxruntime-node") return soloCrew(plan, engine, jobs);
  const { threadedCrew } = await import("./workers.js");
  return threadedCrew(plan, engine, jobs, threads);
}

/** All jobs on this thread, one after another. */
async function soloCrew(plan: Plan, engine: Engine, jobs: number): Promise<Crew> {
  const replica = await newReplica(plan, engine);
  const allocate = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
  const first = Array.from({ length: jobs }, () => newJob(plan, allocate));
  const sets = [first, first.map((job) => newJob(plan, allocate, job))] as const;
  let started: readonly Job[] = [];
  return {
    sets,
    start(set, count, vector) {
      replica.load(vector);
      started = sets[set].slice(0, count);
    },
    async finish() {
      for (const job of started) await replica.run(job);
    },
    release: () => replica.release(),
  };
}
