/** Context mixing: several predictions of one decision, combined by a logistic regression that learns as it codes (as in PAQ and lpaq). */
import type { BitCoder } from "./bit-coder.js";
import { squash, stretch } from "./logistic.js";

/** Confidence classes of a slot by the decisions it has seen: 0, 1, 2, 3-4, 5-8, 9-16, 17-32, more. Each has a weight of its own. */
const classes = 8;
const classOf = Uint8Array.from({ length: 256 }, (_, n) => (n < 3 ? n : Math.min(classes - 1, 33 - Math.clz32(n - 1))));
const rateOf = Float64Array.from({ length: 256 }, (_, n) => 1 / (n + 1.5));
const memory = 250;
const bias = 0.3;

export interface MixerOptions {
  /** Contexts: each names a slot that remembers how often the decision was 1. */
  readonly contexts: number;
  /** Initial weight of a context's logit, at low and at high confidence. */
  readonly contextWeight: readonly [low: number, high: number];
  /** Table of 2^bits slots. */
  readonly bits: number;
  /** Predictions that the caller makes, as logits: their initial weights. */
  readonly direct?: readonly number[];
  /** Learning rate: `rate / (1 + t * decay)`, at least `rateEnd`. */
  readonly rate: number;
  readonly rateEnd: number;
  readonly decay: number;
}

export class Mixer {
  /** Hashes of the contexts of the coming decision. */
  readonly contexts: Int32Array;
  /** The caller's predictions of the coming decision. */
  readonly direct: Float64Array;
  /** What was learned: `classes` weights per context, one per direct prediction, one for the bias. */
  readonly weights: Float64Array;
  readonly #p: Uint16Array;
  readonly #n: Uint8Array;
  readonly #mask: number;
  readonly #slot: Int32Array;
  readonly #x: Float64Array;
  readonly #w: Int32Array;
  #seen = 0;

  constructor(private readonly o: MixerOptions) {
    const direct = o.direct ?? [];
    this.contexts = new Int32Array(o.contexts);
    this.direct = new Float64Array(direct.length);
    this.#p = new Uint16Array(1 << o.bits).fill(32768);
    this.#n = new Uint8Array(1 << o.bits);
    this.#mask = (1 << o.bits) - 1;
    this.weights = new Float64Array(o.contexts * classes + direct.length + 1);
    const [low, high] = o.contextWeight;
    for (let i = 0; i < o.contexts * classes; i++) {
      const k = i % classes;
      this.weights[i] = k ? low + ((high - low) * (k - 1)) / (classes - 2) : 0;
    }
    this.weights.set(direct, o.contexts * classes);
    this.#slot = new Int32Array(o.contexts);
    this.#x = new Float64Array(o.contexts);
    this.#w = new Int32Array(o.contexts);
  }

  /** Codes one decision. `node` tells the decisions of one symbol apart. */
  bit(io: BitCoder, node: number, bit: number): number {
    const { weights, direct } = this;
    const n = this.contexts.length;
    const m = direct.length;
    const first = n * classes;
    let sum = bias * weights[first + m]!;
    for (let i = 0; i < n; i++) {
      const slot = hash(this.contexts[i]!, node + i * 0x10001) & this.#mask;
      const w = i * classes + classOf[this.#n[slot]!]!;
      const x = stretch[this.#p[slot]! >>> 4]!;
      this.#slot[i] = slot;
      this.#w[i] = w;
      this.#x[i] = x;
      sum += weights[w]! * x;
    }
    for (let i = 0; i < m; i++) sum += weights[first + i]! * direct[i]!;
    const p = squash(sum);
    const b = io.bit(Math.max(1, Math.min(65535, Math.round(p * 65536))), bit);
    const rate = Math.max(this.o.rateEnd, this.o.rate / (1 + this.o.decay * this.#seen++));
    const step = (b - p) * rate;
    for (let i = 0; i < n; i++) {
      weights[this.#w[i]!]! += step * this.#x[i]!;
      const slot = this.#slot[i]!;
      const seen = this.#n[slot]!;
      const q = this.#p[slot]!;
      this.#p[slot] = Math.round(q + (b * 65535 - q) * rateOf[seen]!);
      if (seen < memory) this.#n[slot] = seen + 1;
    }
    for (let i = 0; i < m; i++) weights[first + i]! += step * direct[i]!;
    weights[first + m]! += step * bias;
    return b;
  }
}

/** Mixes two 32-bit integers into one. */
export function hash(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
