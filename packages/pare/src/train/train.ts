/** A graph and options come in; the same graph with trained weights goes out. The bytes depend on the recipe, not on the number of workers. */
import { shuffle } from "../data/shuffle.js";
import { defaultEngine } from "../engine/default-engine.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { type Crew, soloCrew } from "./crew.js";
import { evaluate } from "./evaluate.js";
import { type Filling, fill } from "./fill.js";
import type { EpochMetrics, Metrics, TrainOptions, TrainResult } from "./options.js";
import { type Course, prepare, type Training } from "./prepare.js";
import { rateAt } from "./schedule.js";

/**
 * Trains `graph` on `options.data`. The last batch of an epoch is as many whole micro-batches as are left; what is left then waits for another
 * epoch's order. Throws PareError for a graph, data or options that do not fit, and for a loss that stops being a number.
 */
export async function train(graph: Graph, options: TrainOptions): Promise<TrainResult> {
  const engine = options.engine ?? (await defaultEngine());
  const training = await prepare(graph, options, engine);
  const crew = await soloCrew(training.plan, engine, training.course.jobs);
  try {
    return await new Loop(training, crew, engine, options).run();
  } finally {
    await crew.release();
    await training.optimizer.release();
  }
}

interface Best {
  readonly score: number;
  readonly epoch: number;
  readonly vector: Float32Array;
  readonly statistics: Float32Array;
}

class Loop {
  #epoch = 0;
  /** Steps of the run that are done. */
  #step = 0;
  #best: Best | null = null;
  readonly #history: EpochMetrics[] = [];
  readonly #started = performance.now();

  constructor(
    readonly t: Training,
    readonly crew: Crew,
    readonly engine: Engine,
    readonly o: TrainOptions,
  ) {}

  async run(): Promise<TrainResult> {
    const { o, t } = this;
    for (; this.#epoch < o.epochs; this.#epoch++) {
      const start = performance.now();
      t.remask(this.#epoch);
      const loss = await this.#runEpoch();
      const validation = o.validation ? await this.#validate(o.validation) : undefined;
      const metrics: EpochMetrics = {
        epoch: this.#epoch,
        learningRate: this.#rate(this.#step - 1),
        loss,
        seconds: (performance.now() - start) / 1000,
        ...(validation ? { validation } : {}),
      };
      this.#history.push(metrics);
      o.onEpoch?.(metrics);
      if (validation) this.#keep(validation);
      if (o.patience !== undefined && this.#best && this.#epoch - this.#best.epoch >= o.patience) break;
    }
    const keep = (o.keepBest ?? true) && this.#best;
    const { vector, statistics } = keep || { vector: t.optimizer.vector, statistics: t.running };
    return t.result(vector, statistics, this.#history);
  }

  #rate(step: number): number {
    return rateAt(this.o.learningRate ?? 0.1, step, this.t.course.steps);
  }

  /** Steps through the data once; the mean loss. */
  async #runEpoch(): Promise<number> {
    const { t, crew, o } = this;
    const { course, plan } = t;
    const filling: Filling = { data: o.data, classes: t.classes, augment: o.augment, soft: t.soft };
    const order = shuffle(o.data.length, plan.seed, this.#epoch);
    const first = this.#epoch * course.stepsPerEpoch;
    const prepareStep = (k: number, set: 0 | 1): number => {
      const count = jobsOf(course, o.data.length, k);
      for (let j = 0; j < count; j++) {
        const from = k * course.batch + j * course.microBatch;
        fill(plan, crew.sets[set][j]!, filling, order.subarray(from, from + course.microBatch), first + k, j);
      }
      return count;
    };
    let sum = 0;
    let samples = 0;
    let set: 0 | 1 = 0;
    let count = prepareStep(this.#step - first, set);
    while (this.#step < first + course.stepsPerEpoch) {
      o.signal?.throwIfAborted();
      const k = this.#step - first;
      const jobs = crew.sets[set].slice(0, count);
      crew.start(set, count, t.optimizer.vector);
      const done = count;
      set = set === 0 ? 1 : 0;
      if (k + 1 < course.stepsPerEpoch) count = prepareStep(k + 1, set);
      await crew.finish();
      const loss = jobs.reduce((total, job) => total + job.loss[0]!, 0) / done;
      if (!Number.isFinite(loss))
        throw new PareError(
          `the loss is ${loss} at step ${this.#step + 1} of ${course.steps} (learning rate ${this.#rate(this.#step)}): lower the learning rate, or set clipNorm`,
        );
      for (const job of jobs) t.follow(job.statistics);
      await t.optimizer.step(
        jobs.map((job) => job.gradient),
        done,
        this.#rate(this.#step),
      );
      sum += loss * done;
      samples += done;
      this.#step++;
      this.#report(sum / samples);
    }
    return sum / samples;
  }

  #report(loss: number): void {
    const { course } = this.t;
    const seconds = (performance.now() - this.#started) / 1000;
    this.o.onProgress?.({
      epoch: this.#epoch,
      epochs: this.o.epochs,
      step: this.#step,
      steps: course.steps,
      loss,
      secondsLeft: (seconds / this.#step) * (course.steps - this.#step),
    });
  }

  #validate(data: TrainOptions["data"]): Promise<Metrics> {
    const { t, o } = this;
    const { graph } = t.result(t.optimizer.vector, t.running, []);
    return evaluate(graph, data, {
      engine: this.engine,
      ...(o.loss ? { loss: o.loss } : {}),
      ...(o.signal ? { signal: o.signal } : {}),
    });
  }

  #keep(validation: Metrics): void {
    const { optimizer, running } = this.t;
    const score = Number.isNaN(validation.error) ? validation.loss : validation.error;
    if (this.#best && !(score < this.#best.score)) return;
    this.#best = { score, epoch: this.#epoch, vector: optimizer.vector.slice(), statistics: running.slice() };
  }
}

/** Micro-batches of step k of an epoch. */
const jobsOf = (course: Course, samples: number, k: number): number =>
  Math.min(course.jobs, Math.floor((samples - k * course.batch) / course.microBatch));
