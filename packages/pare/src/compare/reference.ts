/** A model and samples enter; what it answers to each, to hold other models against, leaves. */
import { chosenOf, placeOf, type Samples } from "../data/samples.js";
import { cpuMs } from "../engine/clock.js";
import type { Engine, NDArray, Session } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { Distributions } from "./distributions.js";
import { classesIn, numbersIn, Tally, together, winners } from "./tally.js";

export interface Verdict {
  /**
   * As snrDb, but against what tells one sample's answer from another's: the signal without its mean over the samples. Of probabilities of classes:
   * the information about the sample against what of it is lost, since a few sure answers would outweigh all others. What searches go by.
   */
  readonly contrastDb: number | null;
  /** Over all outputs; null: the same bit for bit. */
  readonly snrDb: number | null;
  /** Share of the samples for which both models name the same class, 0..1; null where no output holds scores of classes. */
  readonly agreement: number | null;
  /** Share of the labelled samples that the model gets wrong; null where there are no labels or no scores. */
  readonly error: number | null;
  /** That, less what the float model gets wrong. */
  readonly errorRise: number | null;
  /** Milliseconds of computing of the fastest run. */
  readonly runMs: number;
}

const fewest = 6;
const patienceMs = 1000;

export class Reference {
  readonly #distributions: ReadonlyMap<string, Distributions | null>;
  readonly #contrast: ReadonlyMap<string, number>;

  private constructor(
    readonly graph: Graph,
    readonly samples: Samples,
    readonly engine: Engine,
    /** Indices of the samples that are compared. */
    readonly indices: readonly number[],
    readonly answers: readonly Readonly<Record<string, NDArray>>[],
    /** Milliseconds of computing of the model's fastest run. */
    readonly runMs: number,
  ) {
    const all = new Map(namesOf(graph).map((name) => [name, answers.map((a) => a[name]!)]));
    this.#distributions = new Map([...all].map(([name, arrays]) => [name, Distributions.of(arrays)]));
    this.#contrast = new Map(
      [...all].map(([name, arrays]) => [name, this.#distributions.get(name)?.signal ?? contrastOf(arrays)]),
    );
  }

  /**
   * Runs the model on at most `limit` samples, evenly spread; on fewer, but `fewest`, where that would take seconds. Throws PareError where an
   * output holds no finite value.
   */
  static async of(graph: Graph, samples: Samples, engine: Engine, limit: number): Promise<Reference> {
    const indices: number[] = [];
    const answers: Record<string, NDArray>[] = [];
    const timer = new Fastest();
    await running(engine, graph, async (session) => {
      const answer = (i: number) => timer.of(session, samples.feeds(i), namesOf(graph));
      await answer(0);
      await answer(0);
      const affordable = Math.max(fewest, Math.round(patienceMs / timer.ms));
      const count = Math.min(limit, affordable, samples.length);
      for (let k = 0; k < count; k++) indices.push(Math.floor((k * samples.length) / count));
      for (const i of indices) {
        const found = await answer(i);
        checkAnswers(found, placeOf(samples, i));
        answers.push(found);
      }
    });
    return new Reference(graph, samples, engine, indices, answers, timer.ms);
  }

  /** Throws PareError where a label of a compared sample is none of the model's classes; such labels count as none elsewhere. */
  checkLabels(): void {
    const classes = new Classes(this.graph);
    for (const [k, i] of this.indices.entries())
      classes.checkLabel(this.answers[k]!, this.samples.label(i), placeOf(this.samples, i));
  }

  /** Some of the samples that are compared, evenly spread. */
  few(limit: number): Samples {
    return this.#some(this.indices, limit);
  }
  /** Some of those that are not compared, by which to choose what the comparison shall judge; of all where the others are fewer than these. */
  others(limit: number): Samples {
    const compared = new Set(this.indices);
    const all = Array.from({ length: this.samples.length }, (_, i) => i);
    const rest = all.filter((i) => !compared.has(i));
    return this.#some(rest.length < compared.size ? all : rest, limit);
  }
  #some(indices: readonly number[], limit: number): Samples {
    const count = Math.min(limit, indices.length);
    const spread = Array.from({ length: count }, (_, k) => indices[Math.floor((k * indices.length) / count)]!);
    return chosenOf(this.samples, spread);
  }

  /** How another model of the same inputs and outputs answers; throws PareError where it cannot run. */
  async judge(other: Graph): Promise<Verdict> {
    const tallies = new Map(namesOf(this.graph).map((name) => [name, new Tally(name)]));
    const classes = new Classes(this.graph);
    const timer = new Fastest();
    const lost = new Map<string, number>();
    await running(this.engine, other, async (session) => {
      for (const [k, i] of this.indices.entries()) {
        const answer = await timer.of(session, this.samples.feeds(i), namesOf(this.graph));
        for (const [name, tally] of tallies) {
          tally.add(this.answers[k]![name]!, answer[name]!);
          const loss = this.#distributions.get(name)?.loss(this.answers[k]![name]!, answer[name]!);
          if (loss !== undefined) lost.set(name, (lost.get(name) ?? 0) + loss);
        }
        classes.add(this.answers[k]!, answer, this.samples.label(i));
      }
    });
    const contrast = [...tallies.values()].map((t) => ({
      noise: lost.get(t.name) ?? t.noise,
      signal: this.#contrast.get(t.name)!,
    }));
    const [floatWrong, wrong] = classes.errors;
    return {
      contrastDb: together(contrast),
      snrDb: together([...tallies.values()]),
      agreement: classes.agreement,
      error: wrong,
      errorRise: wrong === null ? null : wrong - (floatWrong ?? 0),
      runMs: timer.ms,
    };
  }
}

/** Runs a session, and keeps the time of its fastest run, which others on the machine disturb least. */
class Fastest {
  ms = Number.POSITIVE_INFINITY;
  async of(session: Session, ...[feeds, names]: Parameters<Session["run"]>): ReturnType<Session["run"]> {
    const started = cpuMs();
    const found = await session.run(feeds, names);
    this.ms = Math.min(this.ms, cpuMs() - started);
    return found;
  }
}

/** Energy of arrays without their mean; with it where they differ in dims, or where there is but one. */
function contrastOf(arrays: readonly NDArray[]): number {
  const values = arrays.map((a) => numbersIn(a) ?? []);
  const length = values[0]?.length ?? 0;
  const alike = values.length > 1 && values.every((v) => v.length === length);
  let energy = 0;
  for (let i = 0; alike && i < length; i++) {
    let [sum, power] = [0, 0];
    for (const v of values) {
      sum += v[i]!;
      power += v[i]! ** 2;
    }
    energy += Math.max(0, power - sum ** 2 / values.length);
  }
  if (energy > 0) return energy;
  for (const v of values) for (let i = 0; i < v.length; i++) energy += v[i]! ** 2;
  return energy;
}

/** Throws PareError where a model's output holds numbers, none of which is finite: nothing can be held against it. `where`: names the sample. */
export function checkAnswers(answers: Readonly<Record<string, NDArray>>, where: string): void {
  for (const [name, array] of Object.entries(answers)) {
    const values = numbersIn(array);
    if (!values || values.length === 0) continue;
    let i = 0;
    while (i < values.length && !Number.isFinite(values[i]!)) i++;
    if (i === values.length)
      throw new PareError(
        `${where}: the model's output "${name}" holds nothing but NaN or Infinity (${values[0]} first), with which nothing can be compared: check the size of the values that it is fed (--normalize)`,
      );
  }
}

export const namesOf = (graph: Graph): string[] => graph.outputs.map((v) => v.name);

export async function running<T>(engine: Engine, graph: Graph, use: (session: Session) => Promise<T>): Promise<T> {
  const session = await engine.load(graph);
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}

/** Counts classes that agree, with each other and with labels that are classes. The scores are the first output of float type and rank 2 (or 1), further axes of 1 aside. */
export class Classes {
  readonly #scores: string | null;
  #rows = 0;
  #agree = 0;
  #labelled = 0;
  readonly #wrong: [number, number] = [0, 0];
  constructor(graph: Graph) {
    const found = graph.outputs.find((v) => v.type.startsWith("float") && v.shape?.slice(2).every((d) => d === 1));
    this.#scores = found?.name ?? null;
  }
  add(a: Readonly<Record<string, NDArray>>, b: Readonly<Record<string, NDArray>>, label: number | null): void {
    if (this.#scores === null) return;
    const [x, y] = [winners(a[this.#scores]!), winners(b[this.#scores]!)];
    if (!x || !y || x.length !== y.length) return;
    this.#rows += x.length;
    this.#agree += x.filter((c, i) => c === y[i]).length;
    if (label === null || x.length !== 1 || !isClass(label, a[this.#scores]!)) return;
    this.#labelled++;
    if (x[0] !== label) this.#wrong[0]++;
    if (y[0] !== label) this.#wrong[1]++;
  }
  /** Throws PareError where an answer scores classes and the label is none of them. `where`: names the sample. */
  checkLabel(answer: Readonly<Record<string, NDArray>>, label: number | null, where: string): void {
    if (this.#scores === null || label === null) return;
    const scores = answer[this.#scores]!;
    if (winners(scores)?.length === 1 && !isClass(label, scores))
      throw new PareError(
        `${where}: label ${label} is none of the ${classesIn(scores)} classes (from 0) that the model's output "${this.#scores}" scores: give it the labels it was trained with, or none`,
      );
  }
  get agreement(): number | null {
    return this.#rows > 0 ? this.#agree / this.#rows : null;
  }
  get errors(): readonly [number | null, number | null] {
    if (this.#labelled === 0) return [null, null];
    return [this.#wrong[0] / this.#labelled, this.#wrong[1] / this.#labelled];
  }
}

const isClass = (label: number, scores: NDArray): boolean => label >= 0 && label < classesIn(scores);
