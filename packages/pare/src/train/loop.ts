/** The loop over epochs and steps: jobs are filled, run, added up; progress, validation, best weights and checkpoints on the way. */
import { shuffle } from "../data/shuffle.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Crew } from "./crew.js";
import { evaluate } from "./evaluate.js";
import { type Filling, fill } from "./fill.js";
import type { Job } from "./job.js";
import type { EpochMetrics, Metrics, TrainOptions, TrainResult } from "./options.js";
import type { Course, Training } from "./prepare.js";
import { rateAt } from "./schedule.js";
import { type Best, captureState, fingerprintOf, type Position, restoreState } from "./state.js";

export class Loop {
  readonly #at: Position = { epoch: 0, step: 0, lossSum: 0, lossCount: 0, seconds: 0 };
  #best: Best | null = null;
  #history: EpochMetrics[] = [];
  #started = performance.now();
  #saved = performance.now();
  readonly #fingerprint: string;

  constructor(
    readonly t: Training,
    readonly crew: Crew,
    readonly engine: Engine,
    readonly o: TrainOptions,
  ) {
    this.#fingerprint = o.checkpoint ? fingerprintOf(t, o) : "";
  }

  async run(): Promise<TrainResult> {
    const { o, t } = this;
    await this.#resume();
    while (this.#at.epoch < o.epochs && !this.#isPatienceOver()) {
      const start = performance.now();
      await this.#runEpoch();
      const validation = o.validation ? await this.#validate(o.validation) : undefined;
      const metrics: EpochMetrics = {
        epoch: this.#at.epoch,
        learningRate: this.#rate(this.#at.step - 1),
        loss: this.#at.lossSum / this.#at.lossCount,
        seconds: (performance.now() - start) / 1000,
        ...(validation ? { validation } : {}),
      };
      this.#history.push(metrics);
      if (validation) this.#keep(validation);
      Object.assign(this.#at, { epoch: this.#at.epoch + 1, lossSum: 0, lossCount: 0 });
      o.onEpoch?.(metrics);
    }
    const keep = (o.keepBest ?? true) && this.#best;
    const { vector, statistics } = keep || { vector: t.optimizer.vector, statistics: t.running };
    return t.result(vector, statistics, this.#history);
  }

  #rate(step: number): number {
    return rateAt(this.o.learningRate ?? 0.1, step, this.t.course.steps);
  }
  #isPatienceOver(): boolean {
    const { patience } = this.o;
    return patience !== undefined && this.#best !== null && this.#at.epoch - 1 - this.#best.epoch >= patience;
  }

  /** Steps through the data, from where the position stands. */
  async #runEpoch(): Promise<void> {
    const { t, crew, o } = this;
    const { course, plan } = t;
    const at = this.#at;
    const first = at.epoch * course.stepsPerEpoch;
    if (at.step === first) await t.remask(at.epoch);
    const filling: Filling = { data: o.data, inputs: t.inputs, classes: t.classes, augment: o.augment, soft: t.soft };
    const order = shuffle(o.data.length, plan.seed, at.epoch);
    // What moves the weights between steps must be asked after each.
    const together = (): number => (o.proximal ? 1 : crew.stepsPerRun);
    const fillRun = (k: number, set: 0 | 1): Run => {
      const jobs: Job[][] = [];
      let used = 0;
      for (let i = k; i < Math.min(k + together(), course.stepsPerEpoch); i++) {
        const own = crew.sets[set].slice(used, used + jobsOf(course, o.data.length, i));
        own.forEach((job, j) => {
          const from = i * course.batch + j * course.microBatch;
          fill(plan, job, filling, order.subarray(from, from + course.microBatch), first + i, j);
        });
        used += own.length;
        jobs.push(own);
      }
      return { steps: jobs, jobs: used };
    };
    const last = first + course.stepsPerEpoch;
    let set: 0 | 1 = 0;
    let next = fillRun(at.step - first, set);
    while (at.step < last) {
      const { steps, jobs } = next;
      crew.start(set, jobs, t.optimizer);
      set = set === 0 ? 1 : 0;
      // The next run's data is filled in while other threads work on this one.
      if (at.step + steps.length < last) next = fillRun(at.step + steps.length - first, set);
      await crew.finish(
        t.optimizer,
        steps.map((_, i) => this.#rate(at.step + i)),
      );
      t.proximal(this.#rate(at.step + steps.length - 1), at.step + steps.length - 1);
      for (const done of steps) this.#follow(done);
      await this.#rest();
    }
  }

  /** Takes note of a step's losses and statistics. */
  #follow(jobs: readonly Job[]): void {
    const at = this.#at;
    const loss = jobs.reduce((total, job) => total + job.loss[0]!, 0) / jobs.length;
    this.#checkLoss(loss);
    for (const job of jobs) this.t.follow(job.statistics);
    at.lossSum += loss * jobs.length;
    at.lossCount += jobs.length;
    at.step++;
    this.#report();
  }

  #checkLoss(loss: number): void {
    if (Number.isFinite(loss)) return;
    const { step } = this.#at;
    throw new PareError(
      `the loss is ${loss} at step ${step + 1} of ${this.t.course.steps} (learning rate ${this.#rate(step)}): lower the learning rate, or set clipNorm`,
    );
  }

  #seconds(): number {
    return this.#at.seconds + (performance.now() - this.#started) / 1000;
  }
  #report(): void {
    const { epoch, step, lossSum, lossCount } = this.#at;
    const { steps } = this.t.course;
    const secondsLeft = (this.#seconds() / step) * (steps - step);
    this.o.onProgress?.({ epoch, epochs: this.o.epochs, step, steps, loss: lossSum / lossCount, secondsLeft });
  }

  /** Between steps: what is due is saved, an abort is obeyed. */
  async #rest(): Promise<void> {
    const { checkpoint, signal } = this.o;
    if (checkpoint) {
      const due = performance.now() - this.#saved >= 1000 * (checkpoint.everySeconds ?? 30);
      if (due || signal?.aborted) await this.#save(checkpoint.path);
    }
    signal?.throwIfAborted();
  }
  async #save(path: string): Promise<void> {
    const position = { ...this.#at, seconds: this.#seconds() };
    const state = captureState(this.t, this.#fingerprint, position, this.#history, this.#best);
    const { saveCheckpoint } = await import("./checkpoint.js");
    await saveCheckpoint(path, state);
    this.#saved = performance.now();
  }
  async #resume(): Promise<void> {
    const { checkpoint } = this.o;
    if (!checkpoint) return;
    const { loadCheckpoint } = await import("./checkpoint.js");
    const state = await loadCheckpoint(checkpoint.path);
    if (!state) return;
    this.#best = restoreState(this.t, this.#fingerprint, checkpoint.path, state);
    Object.assign(this.#at, state.position);
    this.#history = [...state.history];
    this.#started = this.#saved = performance.now();
  }

  async #validate(data: TrainOptions["data"]): Promise<Metrics> {
    const { t, o } = this;
    const { graph } = t.result(t.optimizer.vector, t.running, []);
    try {
      return await evaluate(graph, data, {
        engine: this.engine,
        ...(o.loss ? { loss: o.loss } : {}),
        ...(o.signal ? { signal: o.signal } : {}),
      });
    } catch (error) {
      // An abort here must not lose the steps since the last save.
      await this.#rest();
      throw error;
    }
  }
  #keep(validation: Metrics): void {
    const { optimizer, running } = this.t;
    const score = Number.isNaN(validation.error) ? validation.loss : validation.error;
    if (this.#best && !(score < this.#best.score)) return;
    const statistics = running.slice();
    this.#best = { score, epoch: this.#at.epoch, vector: optimizer.vector.slice(), statistics };
  }
}

/** What is run in one go: the jobs of each of its steps, and how many they are. */
interface Run {
  readonly steps: readonly (readonly Job[])[];
  readonly jobs: number;
}

/** Micro-batches of step k of an epoch. */
const jobsOf = (course: Course, samples: number, k: number): number =>
  Math.min(course.jobs, Math.floor((samples - k * course.batch) / course.microBatch));
