/** A graph, values of it and samples enter; what each value is like over all samples leaves. Computed within onnxruntime, in bounded memory. */
import type { Samples } from "../data/samples.js";
import type { Engine, NDArray, Session } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { quote } from "../graph/quote.js";
import type { Wanted } from "./layout.js";
import { type Observed, observe } from "./observe.js";
import { readReport } from "./report.js";
import type { Statistics } from "./statistics.js";
import { type Sampling, Sum } from "./sum.js";
import { together } from "./together.js";

export interface CalibrateOptions {
  readonly engine: Engine;
  readonly threads?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly done: number; readonly of: number }) => void;
}

/** Elements that a histogram samples of a value, over all samples: every one where a value has no more. */
const enoughElements = 2 ** 18;
/** Of one sample at least this many, and of one run of all values together at most that many. */
const fewestPerSample = 2 ** 11;
const mostPerRun = 2 ** 21;
/** Samples share a run while the values watched in it have no more elements than this. */
const elementsPerRun = 2 ** 20;

/**
 * Statistics by name of every wanted value, those within If, Loop and Scan too; a value that no sample ever computed (a branch never taken)
 * is absent. Extremes and power are of all elements; a histogram is of all elements of small values, and of evenly spaced ones of large
 * values, a quarter of a million and more in all. Its bins are at least as many as asked for, 0 in the middle of one; it is null for values that
 * are infinite somewhere. Throws PareError where there are no samples, a sample does not fit, or a value is not a number
 * (names sample and node); throws the signal's reason where that is aborted.
 */
export async function calibrate(
  graph: Graph,
  wanted: ReadonlyMap<string, Wanted>,
  samples: Samples,
  options: CalibrateOptions,
): Promise<Map<string, Statistics>> {
  if (samples.length < 1) throw new PareError(`${samples.name}: no samples: calibration needs at least one`);
  if (wanted.size < 1) return new Map();
  const { graph: open, most } = await together(graph, samples, options.engine);
  const observed = observe(open, wanted);
  const session = await options.engine.load(observed.graph, { threads: options.threads ?? 1 });
  try {
    const calibration = new Calibration(observed, session, samples, most);
    await calibration.all(options);
    return calibration.result();
  } finally {
    await session.release();
  }
}

type Feeds = Readonly<Record<string, NDArray>>;

class Calibration {
  readonly #sums: readonly Sum[];
  /** Those that are sampled, in the order of the sampling inputs. */
  readonly #sampled: readonly Sum[];
  /** Elements to take of one value in one sample. */
  readonly #perSample: number;
  #runs = 0;
  #batches = true;

  constructor(
    readonly observed: Observed,
    readonly session: Session,
    readonly samples: Samples,
    /** Samples that may share a run. */
    readonly most: number,
  ) {
    this.#sums = observed.probes.map((probe) => new Sum(probe));
    this.#sampled = this.#sums.filter((s) => s.probe.place >= 0);
    const each = Math.max(fewestPerSample, enoughElements / samples.length);
    this.#perSample = Math.ceil(Math.min(each, mostPerRun / Math.max(1, this.#sampled.length)));
  }

  async all({ signal, onProgress }: CalibrateOptions): Promise<void> {
    const { length } = this.samples;
    for (let done = 0; done < length; onProgress?.({ done, of: length })) {
      signal?.throwIfAborted();
      done += await this.#some(done, Math.min(this.#together(), length - done));
    }
  }

  /** Samples that may share the next run. */
  #together(): number {
    if (this.#runs === 0 || !this.#batches) return 1;
    const size = this.#sums.reduce((all, s) => all + s.size, 0);
    const sampled = this.#sampled.reduce((all, s) => all + Math.min(s.size, this.#perSample), 0);
    const most = Math.min(elementsPerRun / Math.max(1, size), mostPerRun / Math.max(1, sampled));
    return Math.max(1, Math.min(this.most, Math.floor(most)));
  }

  /** Runs some samples from `first` on, at most `count`; returns how many. */
  async #some(first: number, count: number): Promise<number> {
    const batch = count > 1 ? this.samples.batch(Array.from({ length: count }, (_, i) => first + i)) : null;
    if (batch) {
      try {
        await this.#run(batch, first, count);
        return count;
      } catch (error) {
        // A model may have an open first axis and yet take one sample only.
        if (!(error instanceof PareError) || error instanceof NotANumberError) throw error;
      }
    }
    if (count > 1) this.#batches = false;
    await this.#run(this.samples.feeds(first), first, 1);
    return 1;
  }

  /** One run added to the sums; again where too few or too many elements of a value were taken, since its size was not known. */
  async #run(feeds: Feeds, first: number, count: number): Promise<void> {
    const { session, observed, samples } = this;
    for (;;) {
      const sampling = this.#sampled.map((s) => s.sampling(this.#perSample));
      const run = await session.run({ ...feeds, ...this.#inputs(sampling) }).catch((cause: unknown) => {
        if (!(cause instanceof PareError)) throw cause;
        throw new PareError(`${samples.name}: sample ${first}: ${cause.message}`, cause.kind, { cause });
      });
      const report = readReport(run[observed.report]!.data as Float32Array, observed);
      const bad = this.#sums.find((s) => report.get(s.probe)?.some((r) => Number.isNaN(r.power)));
      if (bad) {
        const which = count > 1 ? `one of the samples ${first} to ${first + count - 1}` : `sample ${first}`;
        throw new NotANumberError(
          `${bad.probe.maker} gives NaN in ${quote(bad.probe.name)} for ${which} of ${samples.name}: leave the sample out, or mend the model`,
        );
      }
      for (const s of this.#sums) s.look(report.get(s.probe) ?? [], count);
      if (this.#sampled.some((s, k) => !s.accepts(sampling[k]!, this.#perSample))) continue;
      for (const s of this.#sums) for (const r of report.get(s.probe) ?? []) s.add(r);
      this.#runs++;
      return;
    }
  }

  #inputs(sampling: readonly Sampling[]): Feeds {
    if (!sampling.length) return {};
    const { step, most } = this.observed.sampling;
    const int64 = (list: readonly number[]): NDArray => ({
      type: "int64",
      dims: [list.length],
      data: BigInt64Array.from(list, BigInt),
    });
    return {
      [step]: int64(sampling.map((s) => s.step)),
      [most]: int64(sampling.map((s) => s.most)),
    };
  }

  result(): Map<string, Statistics> {
    return new Map(this.#sums.flatMap((s) => (s.count ? [[s.probe.name, s.statistics()] as const] : [])));
  }
}

/** A value that is not a number: no reason to try again. */
class NotANumberError extends PareError {}
