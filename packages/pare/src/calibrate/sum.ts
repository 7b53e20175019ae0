/** One value over all runs: readings enter, statistics leave. */
import { PareError } from "../graph/error.js";
import { quote } from "../graph/quote.js";
import type { Probe } from "./layout.js";
import type { Reading } from "./report.js";
import type { Statistics } from "./statistics.js";
import { Tally } from "./tally.js";

/** Which elements of a value are taken in a run: every `step`-th; within loops exactly `most`, filled up. */
export interface Sampling {
  readonly step: number;
  readonly most: number;
}
/** Of a value whose size is not known yet. */
const unknownStep = 2 ** 40;

export class Sum {
  count = 0;
  /** Elements in one sample, the most so far. */
  size = 0;
  /** Elements in one reading, the most so far. */
  #largest = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #power = 0;
  /** Null once the value was infinite. */
  #tally: Tally | null;
  #channels: { min: Float32Array; max: Float32Array; power: Float64Array } | null = null;

  constructor(readonly probe: Probe) {
    const { histogram } = probe.wanted;
    if (histogram !== undefined && !(Number.isInteger(histogram) && histogram >= 1 && histogram <= 2 ** 16))
      throw new PareError(`${histogram} bins for ${quote(probe.name)}: give a whole number from 1 to 65536`, "usage");
    this.#tally = histogram === undefined ? null : new Tally(histogram);
  }

  /** Takes note of the sizes in a run of `count` samples. */
  look(readings: readonly Reading[], count: number): void {
    const all = readings.reduce((sum, r) => sum + r.size, 0);
    if (all === 0) return;
    this.size = Math.max(this.size, all / count);
    this.#largest = Math.max(this.#largest, ...readings.map((r) => r.size));
  }

  /** The step for about `perSample` elements of a sample. It is odd, so that it does not march with the rows of an image. */
  #step(perSample: number): number {
    return this.size === 0 ? unknownStep : Math.max(1, Math.ceil(this.size / perSample)) | 1;
  }
  sampling(perSample: number): Sampling {
    const step = this.#step(perSample);
    return { step, most: Math.max(1, Math.ceil(this.#largest / step)) };
  }
  /** Whether a run with this sampling took the elements that it should, now that sizes are known. */
  accepts({ step, most }: Sampling, perSample: number): boolean {
    if (this.size === 0 || !this.#tally) return true;
    return step <= this.#step(perSample) && (!this.probe.looped || most * step >= this.#largest);
  }

  add(r: Reading): void {
    if (r.size === 0) return;
    this.count += r.size;
    this.#min = Math.min(this.#min, r.min);
    this.#max = Math.max(this.#max, r.max);
    this.#power += r.power;
    if (!Number.isFinite(r.min) || !Number.isFinite(r.max)) this.#tally = null;
    if (r.sample) this.#tally?.add(r.sample, r.min, r.max);
    if (r.channels) this.#addChannels(r.channels);
  }

  #addChannels([min, max, power]: NonNullable<Reading["channels"]>): void {
    const { length } = min;
    this.#channels ??= {
      min: new Float32Array(length).fill(Number.POSITIVE_INFINITY),
      max: new Float32Array(length).fill(Number.NEGATIVE_INFINITY),
      power: new Float64Array(length),
    };
    const c = this.#channels;
    if (c.min.length !== length)
      throw new PareError(
        `axis ${this.probe.wanted.channels} of ${quote(this.probe.name)} is ${c.min.length} long for some samples and ${length} for others: it has no channels`,
        "usage",
      );
    for (let i = 0; i < length; i++) {
      c.min[i] = Math.min(c.min[i]!, min[i]!);
      c.max[i] = Math.max(c.max[i]!, max[i]!);
      c.power[i]! += power[i]!;
    }
  }

  /** Only where elements were seen. */
  statistics(): Statistics {
    const { count, probe } = this;
    const [min, max, c] = [this.#min, this.#max, this.#channels];
    const each = c ? count / c.min.length : 0;
    return {
      min,
      max,
      count,
      power: this.#power / count,
      histogram: this.#tally?.histogram(min, max, probe.wanted.histogram!) ?? null,
      channels: c && {
        axis: probe.wanted.channels!,
        min: c.min,
        max: c.max,
        power: Float32Array.from(c.power, (s) => s / each),
      },
    };
  }
}
