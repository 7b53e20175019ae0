/** A crew of worker threads, each with a one-threaded session of its own; data and gradients meet in shared memory. */
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import { claim, control, publish, type Shared } from "./claims.js";
import { type Crew, type CrewOptions, newUpdater } from "./crew.js";
import { type Job, newJob, type Plan } from "./job.js";
import { newReplica } from "./replica.js";

/** What a worker is started with. */
export interface WorkerData {
  readonly plan: Omit<Plan, "graph">;
  readonly model: Uint8Array;
  readonly shared: Shared;
  readonly owner: number;
}
/** "ready" once its session stands, or what went wrong. */
export type WorkerMessage = "ready" | { readonly error: string; readonly kind: PareError["kind"] };

/** `threads` of them, this one included. Which thread runs a job is left to chance; where its results go is not. */
export async function threadedCrew({ plan, update, engine, jobs }: CrewOptions, threads: number): Promise<Crew> {
  const allocate = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);
  const first = Array.from({ length: jobs }, () => newJob(plan, allocate));
  const shared: Shared = {
    sets: [first, first.map((job) => newJob(plan, allocate, job))],
    vector: new Float32Array(allocate(4 * plan.layout.vector)),
    control: new Int32Array(allocate(4 * control.length)),
    owners: new Int32Array(allocate(4 * jobs)),
  };
  const gradients = first.map(() => new Float32Array(plan.layout.vector));
  const localSet = (set: readonly Job[]): Job[] => set.map((job, j) => ({ ...job, gradient: gradients[j]! }));
  const sets = [localSet(shared.sets[0]), localSet(shared.sets[1])] as const;

  const team = new Team(plan, shared, threads - 1);
  const replica = await newReplica(plan, engine).catch(async (error) => {
    await team.stop();
    throw error;
  });
  const updater = await newUpdater(update!, engine);
  await team.ready();
  let generation = 0;
  let count = 0;
  let set: 0 | 1 = 0;
  return {
    sets,
    stepsPerRun: 1,
    start(which, number, { vector }) {
      [set, count] = [which, number];
      generation = (generation + 1) & control.generations;
      shared.vector.set(vector);
      replica.load(vector);
      publish(shared, generation, set, count);
    },
    async finish(optimizer, [rate]) {
      for (let j = claim(shared, generation, 0); j !== null; j = claim(shared, generation, 0)) {
        await replica.run(sets[set][j]!);
        Atomics.add(shared.control, control.done, 1);
      }
      await team.wait(count);
      for (let j = 0; j < count; j++) if (shared.owners[j] !== 0) gradients[j]!.set(shared.sets[set][j]!.gradient);
      await updater.run(optimizer, gradients.slice(0, count), rate!);
    },
    async release() {
      await team.stop();
      await updater.release();
      await replica.release();
    },
  };
}

class Team {
  readonly #workers: Worker[];
  readonly #ready: Promise<void>[];
  #failure: Error | null = null;

  constructor(
    plan: Plan,
    readonly shared: Shared,
    size: number,
  ) {
    const { graph, ...rest } = plan;
    const model = toBytes(graph);
    this.#workers = Array.from({ length: size }, (_, i) => {
      const workerData: WorkerData = { plan: rest, model, shared, owner: i + 1 };
      return new Worker(new URL("./workers-thread.js", import.meta.url), { workerData });
    });
    this.#ready = this.#workers.map(
      (worker) =>
        new Promise((resolve, reject) => {
          const fail = (error: Error): void => {
            this.#failure ??= error;
            reject(this.#failure);
          };
          worker.on("message", (m: WorkerMessage) => {
            if (m === "ready") resolve();
            else fail(new PareError(m.error, m.kind));
          });
          worker.on("error", fail);
          worker.on("exit", (code) => fail(new PareError(`a training thread ended by itself (code ${code})`)));
        }),
    );
    // Awaited in ready(); a failure after that is met in wait().
    for (const r of this.#ready) r.catch(() => {});
  }
  async ready(): Promise<void> {
    try {
      await Promise.all(this.#ready);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }
  /** Until `count` jobs are done. Sleeps, but looks up often enough to hear of a thread's end. */
  async wait(count: number): Promise<void> {
    const cells = this.shared.control;
    for (let done = Atomics.load(cells, control.done); done < count; done = Atomics.load(cells, control.done)) {
      if (Atomics.wait(cells, control.done, done, 50) === "timed-out") await turn();
      if (this.#failure) throw this.#failure;
    }
  }
  async stop(): Promise<void> {
    const ends = this.#workers.map((w) => new Promise((resolve) => w.once("exit", resolve)));
    this.#failure ??= new PareError("the training threads are stopped");
    Atomics.store(this.shared.control, control.stop, 1);
    Atomics.add(this.shared.control, control.generation, 1);
    Atomics.notify(this.shared.control, control.generation);
    const gone = this.#workers.filter((w) => w.threadId === -1).length;
    if (gone < ends.length) await Promise.race([Promise.all(ends), this.#terminate()]);
  }
  /** For threads that do not end by themselves in time. */
  async #terminate(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, 2000).unref();
    });
    await Promise.all(this.#workers.map((w) => w.terminate()));
  }
}
