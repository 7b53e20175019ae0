/** Context mixing: several adaptive predictions of one decision, combined by an online logistic regression (as in PAQ and lpaq). */
import type { BitCoder } from "./bit-coder.js";
import { probability16, squash, stretch } from "./logistic.js";

/** Confidence classes of a slot by the number of decisions it has seen: 0, 1, 2, 3-4, 5-8, 9-16, 17-32, more. */
const classes = 8;
const classOf = Uint8Array.from({ length: 256 }, (_, n) => (n < 3 ? n : Math.min(classes - 1, 33 - Math.clz32(n - 1))));
const rateOf = Float64Array.from({ length: 256 }, (_, n) => 1 / (n + 1.5));

/** Predicts a decision from `inputs` contexts, hashed into one table of 2^`bits` slots. */
export class Mixer {
  readonly #p: Uint16Array;
  readonly #n: Uint8Array;
  readonly #mask: number;
  readonly #weights: Float64Array;
  readonly #at: Int32Array;
  readonly #x: Float64Array;
  readonly #w: Int32Array;
  /** Hashes of the contexts of the coming decisions; set before `bit`. */
  readonly contexts: Int32Array;

  constructor(
    private readonly inputs: number,
    bits: number,
    /** Number of weight sets. */
    sets = 1,
    /** A slot forgets faster the lower this is: decisions it averages over, at most 255. */
    private readonly memory = 250,
    private readonly learningRate = 0.02,
  ) {
    this.#p = new Uint16Array(1 << bits).fill(32768);
    this.#n = new Uint8Array(1 << bits);
    this.#mask = (1 << bits) - 1;
    this.#weights = new Float64Array(sets * inputs * classes).fill(1 / Math.sqrt(inputs));
    for (let i = 0; i < this.#weights.length; i += classes) this.#weights[i] = 0;
    this.#at = new Int32Array(inputs);
    this.#x = new Float64Array(inputs);
    this.#w = new Int32Array(inputs);
    this.contexts = new Int32Array(inputs);
  }

  /** Codes one decision. `node` tells decisions of one symbol apart; `set` picks the weights. */
  bit(io: BitCoder, node: number, bit: number, set = 0): number {
    const { inputs } = this;
    let sum = 0;
    for (let i = 0; i < inputs; i++) {
      const at = hash(this.contexts[i]!, node + i * 0x10001) & this.#mask;
      const w = (set * inputs + i) * classes + classOf[this.#n[at]!]!;
      const x = stretch[this.#p[at]! >>> 4]!;
      this.#at[i] = at;
      this.#w[i] = w;
      this.#x[i] = x;
      sum += this.#weights[w]! * x;
    }
    const p = squash(sum);
    const b = io.bit(probability16(p), bit);
    const step = (b - p) * this.learningRate;
    for (let i = 0; i < inputs; i++) {
      this.#weights[this.#w[i]!]! += step * this.#x[i]!;
      const at = this.#at[i]!;
      const n = this.#n[at]!;
      const q = this.#p[at]!;
      this.#p[at] = Math.round(q + (b * 65535 - q) * rateOf[n]!);
      if (n < this.memory) this.#n[at] = n + 1;
    }
    return b;
  }
}

/** Mixes two 32-bit integers into one. */
export function hash(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
