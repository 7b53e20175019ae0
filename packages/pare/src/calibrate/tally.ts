/** Counts of one value's elements by bins whose width adapts: elements enter run by run, a histogram leaves. */
import type { Statistics } from "./statistics.js";

/** Ranges that turn out too small become this many times wider: odd, so that bins are unions of narrower ones, 0 in the middle of one. */
const growth = 3;
/** Bins per bin asked for: enough for the values' range after rounds of growth that went too far. */
const spare = 6;

/** Room for the bins of the elements at hand. */
let scratch = new Int32Array(1 << 16);

/** Bin k covers (k - zero - 0.5) x width to (k - zero + 0.5) x width. */
export class Tally {
  readonly #bins: number;
  #counts: Uint32Array;
  #width = 0;
  #zero = 0;
  constructor(bins: number) {
    this.#bins = spare * bins;
    this.#counts = new Uint32Array(this.#bins);
  }

  /** Counts elements, which lie between `min` and `max`; NaN is not counted. */
  add(elements: Float32Array, min: number, max: number): void {
    if (!this.#holds(min, max)) this.#widen(min, max);
    const counts = this.#counts;
    const [perWidth, shift] = [1 / this.#width, this.#zero + 0.5];
    const { length } = elements;
    if (scratch.length < length) scratch = new Int32Array(2 * length);
    // In two loops, which run three times as fast as one.
    const places = scratch;
    for (let i = 0; i < length; i++) places[i] = elements[i]! * perWidth + shift;
    for (let i = 0; i < length; i++) counts[places[i]!]!++;
    // That of NaN: nothing else lies in the outermost bins.
    counts[0] = 0;
  }

  #place(x: number): number {
    return Math.floor(x / this.#width + this.#zero + 0.5);
  }
  #holds(min: number, max: number): boolean {
    return this.#width > 0 && this.#place(min) > 0 && this.#place(max) < this.#bins - 1;
  }

  /** Makes bins for values from `min` to `max`, with room beyond them; what was counted stays. */
  #widen(min: number, max: number): void {
    const [from, to] = [Math.min(0, min) * 1.25, Math.max(0, max) * 1.25];
    const used = this.#used();
    let width = this.#width || Math.max(to - from, 1e-30) / (this.#bins - 6);
    let [times, first, last] = [1, 0, 0];
    for (; ; times *= growth, width *= growth) {
      first = Math.min(Math.floor(from / width), Math.round(used[0] / times)) - 2;
      last = Math.max(Math.ceil(to / width), Math.round(used[1] / times)) + 2;
      if (last - first < this.#bins) break;
    }
    const counts = new Uint32Array(this.#bins);
    for (let k = used[0]; k <= used[1]; k++) counts[Math.round(k / times) - first]! += this.#counts[k + this.#zero]!;
    [this.#counts, this.#width, this.#zero] = [counts, width, -first];
  }
  /** The outermost bins that hold something, counted from that of 0. */
  #used(): [number, number] {
    const first = this.#counts.findIndex((c) => c > 0);
    if (first < 0) return [0, 0];
    return [first - this.#zero, this.#counts.findLastIndex((c) => c > 0) - this.#zero];
  }

  /** The bins from `min` to `max`, put together to at least `bins` of them where there are so many. */
  histogram(min: number, max: number, bins: number): NonNullable<Statistics["histogram"]> {
    if (!this.#holds(min, max)) this.#widen(min, max);
    const [first, last] = [this.#place(min) - this.#zero, this.#place(max) - this.#zero];
    const most = Math.floor((last - first + 1) / bins);
    const group = Math.max(1, most % 2 ? most : most - 1);
    const place = (k: number): number => Math.round(k / group);
    const [from, to] = [place(first), place(last)];
    const counts = new Float64Array(to - from + 1);
    for (let k = first; k <= last; k++) counts[place(k) - from]! += this.#counts[k + this.#zero]!;
    const width = this.#width * group;
    return { low: (from - 0.5) * width, high: (to + 0.5) * width, counts };
  }
}
