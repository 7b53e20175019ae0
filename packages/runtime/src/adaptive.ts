/** Symbols of a few bits under one context, for data too many for mixing: the context's own statistics, leaning on all contexts' where it has seen little. */
import type { BitCoder } from "./bit-coder.js";

const memory = 250;
/** Decisions that a context must have seen to weigh as much as all contexts together. */
const lean = 12;
const rateOf = Float64Array.from({ length: 256 }, (_, n) => 1 / (n + 1.5));

export class Adaptive {
  /** Per context and node of the symbol's tree: probability of a 1, and decisions seen. The last context is that of all. */
  readonly #p: Float64Array;
  readonly #n: Uint8Array;

  constructor(
    private readonly bits: number,
    private readonly contexts: number,
  ) {
    this.#p = new Float64Array((contexts + 1) << bits).fill(0.5);
    this.#n = new Uint8Array((contexts + 1) << bits);
  }
  code(io: BitCoder, context: number, value: number): number {
    const { bits } = this;
    let node = 1;
    for (let b = bits - 1; b >= 0; b--) {
      const own = (context << bits) + node;
      const all = (this.contexts << bits) + node;
      const n = this.#n[own]!;
      const p = (this.#p[own]! * n + this.#p[all]! * lean) / (n + lean);
      const bit = io.bit(Math.max(1, Math.min(65535, Math.round(p * 65536))), (value >>> b) & 1);
      this.#learn(own, bit);
      this.#learn(all, bit);
      node = 2 * node + bit;
    }
    return node - (1 << bits);
  }
  #learn(slot: number, bit: number): void {
    const n = this.#n[slot]!;
    this.#p[slot]! += (bit - this.#p[slot]!) * rateOf[n]!;
    if (n < memory) this.#n[slot] = n + 1;
  }
}
