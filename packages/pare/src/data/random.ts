/** The one pseudo-random generator: a seed and a stream enter, the same numbers leave on every platform. */
import { PareError } from "../graph/error.js";

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
/** The finalizer of MurmurHash3: a bijection of 32-bit words in which every input bit reaches every output bit. */
function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * xoshiro128** (Blackman, Vigna 2018). Its 128 bits of state are hashed from the seed and the stream, so `new Random(seed, epoch)` or
 * `new Random(seed, step, sample)` can be made anywhere, in any order: nothing needs to be carried over from an earlier draw.
 * Integer arithmetic and exact divisions only, hence bit-identical in every engine.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Throws where seed or stream are not whole numbers from 0 to 2^53 - 1. */
  constructor(seed: number, ...stream: readonly number[]) {
    const words: number[] = [];
    for (const value of [seed, ...stream]) {
      if (!Number.isSafeInteger(value) || value < 0)
        throw new PareError(`seed ${value}: a seed is a whole number from 0 to 2^53 - 1`, "usage");
      words.push(value | 0, Math.floor(value / 0x1_0000_0000));
    }
    const lane = (i: number): number => words.reduce((h, w) => mix(Math.imul(h, 5) + 0x9e3779b9 + w), mix(i));
    [this.#a, this.#b, this.#c, this.#d] = [lane(1), lane(2), lane(3), lane(4)];
    if (!(this.#a | this.#b | this.#c | this.#d)) this.#a = 1;
  }
  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = rotate(this.#d, 11);
    return result;
  }
  /** A number from 0 (inclusive) to 1 (exclusive), a multiple of 2^-32. */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }
  /** A whole number from 0 to n - 1, each equally likely; n up to 2^32. */
  below(n: number): number {
    const rest = 0x1_0000_0000 % n;
    let x: number;
    do x = this.uint32();
    while (x >= 0x1_0000_0000 - rest);
    return x % n;
  }
}
