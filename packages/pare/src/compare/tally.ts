/** Two versions of a value, run by run -> how far apart they are: sums that take no memory. */
import type { NDArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { float16Value } from "../graph/float16.js";

/** What a value's two versions have in common over all samples. */
export interface Likeness {
  readonly name: string;
  /** Signal to noise: 10 log10(sum a^2 / sum (a - b)^2); null where nothing differs. */
  readonly snrDb: number | null;
  readonly cosine: number;
  /** Largest |a - b|. */
  readonly maxDifference: number;
}

/** Numbers of an array; null for strings. */
export function numbersIn({ type, data }: NDArray): ArrayLike<number> | null {
  if (Array.isArray(data)) return null;
  if (type === "float16") return Float32Array.from(data as Uint16Array, float16Value);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number);
  return data;
}

export class Tally {
  signal = 0;
  noise = 0;
  #other = 0;
  #product = 0;
  #furthest = 0;
  constructor(readonly name: string) {}

  /** Throws PareError where the two have different dims. A value that is no number counts as lost. */
  add(a: NDArray, b: NDArray): void {
    if (a.dims.join() !== b.dims.join())
      throw new PareError(`"${this.name}" is [${a.dims}] in one model and [${b.dims}] in the other`);
    const [x, y] = [numbersIn(a), numbersIn(b)];
    if (!x || !y) return;
    for (let i = 0; i < x.length; i++) {
      const v = x[i]!;
      const w = Number.isFinite(y[i]!) ? y[i]! : 0;
      if (!Number.isFinite(v)) continue;
      this.signal += v * v;
      this.noise += (v - w) ** 2;
      this.#other += w * w;
      this.#product += v * w;
      this.#furthest = Math.max(this.#furthest, Math.abs(v - w));
    }
  }

  get likeness(): Likeness {
    const { signal, noise } = this;
    const lengths = Math.sqrt(signal * this.#other);
    return {
      name: this.name,
      snrDb: noise === 0 ? null : 10 * Math.log10(signal / noise),
      cosine: lengths > 0 ? this.#product / lengths : signal === this.#other ? 1 : 0,
      maxDifference: this.#furthest,
    };
  }
}

/** The mean of noise to signal over several values, as signal to noise in dB; null where nothing differs. */
export function together(tallies: readonly { readonly signal: number; readonly noise: number }[]): number | null {
  const parts = tallies.filter((t) => t.signal > 0).map((t) => t.noise / t.signal);
  const mean = parts.reduce((a, b) => a + b, 0) / parts.length;
  return parts.length === 0 || mean === 0 ? null : -10 * Math.log10(mean);
}

/** Of scores [n, classes], perhaps with more axes of 1. */
export function classesIn({ dims }: NDArray): number {
  let rank = dims.length;
  while (rank > 2 && dims[rank - 1] === 1) rank--;
  return dims[rank - 1] ?? 0;
}

/** The place of the largest number in each row of scores [n, classes]. */
export function winners(scores: NDArray): number[] | null {
  const values = numbersIn(scores);
  const classes = classesIn(scores);
  if (!values || classes < 2 || values.length % classes !== 0) return null;
  return Array.from({ length: values.length / classes }, (_, r) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if (values[r * classes + c]! > values[r * classes + best]!) best = c;
    return best;
  });
}
