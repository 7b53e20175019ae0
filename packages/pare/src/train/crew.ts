/** Who runs the gradient jobs of a step: here one thread, in workers.ts several. The results do not depend on who. */
import type { Engine } from "../engine/engine.js";
import { type Job, newJob, type Plan } from "./job.js";
import { newReplica } from "./replica.js";

/** Jobs come in two sets, so that the next step's data can be filled in while this step runs. */
export interface Crew {
  readonly sets: readonly [readonly Job[], readonly Job[]];
  /** Starts the first `count` jobs of a set with these values of the layout's vector. */
  start(set: 0 | 1, count: number, vector: Float32Array): void;
  /** When all that was started is done. Rejects with the first job's error. */
  finish(): Promise<void>;
  release(): Promise<void>;
}

/** All jobs on this thread, one after another. */
export async function soloCrew(plan: Plan, engine: Engine, jobs: number): Promise<Crew> {
  const replica = await newReplica(plan, engine);
  const allocate = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);
  const set = (): Job[] => Array.from({ length: jobs }, () => newJob(plan, allocate));
  const first = set();
  // The sets share results: only what a job reads is filled in ahead.
  const second = first.map(
    (job): Job => ({ ...newJob(plan, allocate), gradient: job.gradient, statistics: job.statistics, loss: job.loss }),
  );
  const sets = [first, second] as const;
  let started: readonly Job[] = [];
  return {
    sets,
    start(which, count, vector) {
      replica.load(vector);
      started = sets[which].slice(0, count);
    },
    async finish() {
      for (const job of started) await replica.run(job);
    },
    release: () => replica.release(),
  };
}
