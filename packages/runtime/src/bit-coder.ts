/** Where binary decisions go to or come from. Every model of the format is written once against this interface, so reader and writer cannot disagree. */
import { FormatError } from "./error.js";

export interface BitCoder {
  /** Codes one decision. `p`: probability of a 1, integer in 1..65535 of 65536. A reader ignores `bit`; all return the decision. */
  bit(p: number, bit: number): number;
  /** The next `length` bytes of the plain section. A reader ignores `bytes`; all return them. */
  plain(length: number, bytes?: Uint8Array): Uint8Array;
  /** Accounts for `units` of work or memory that the file asks for, before it is done. A reader throws FormatError beyond its limit. */
  spend(units: number, what: string): void;
  /** True where decisions come from a file. */
  readonly reading: boolean;
}

/** Reads decisions: a 32-bit range decoder (carries are the writer's work), probabilities of 16 bits. */
export class RangeDecoder implements BitCoder {
  readonly reading = true;
  #at: number;
  #range = 0xffffffff;
  #code = 0;
  #spent = 0;

  constructor(
    private readonly bytes: Uint8Array,
    start: number,
    private readonly end: number,
    private plainAt: number,
    private readonly limit: number,
  ) {
    this.#at = start;
    for (let i = 0; i < 4; i++) this.#code = this.#code * 256 + this.#next();
  }
  #next(): number {
    if (this.#at < this.end) return this.bytes[this.#at++]!;
    // The writer drops up to four zero bytes at the end, and the decoder reads four ahead.
    if (this.#at++ >= this.end + 8) throw new FormatError("the coded section ends early", `byte ${this.end}`);
    return 0;
  }
  bit(p: number, _bit: number): number {
    const bound = Math.floor((this.#range * p) / 65536);
    let bit = 1;
    if (this.#code < bound) this.#range = bound;
    else {
      this.#code -= bound;
      this.#range -= bound;
      bit = 0;
    }
    while (this.#range < 0x1000000) {
      this.#range *= 256;
      this.#code = this.#code * 256 + this.#next();
    }
    return bit;
  }
  plain(length: number): Uint8Array {
    const left = this.bytes.length - this.plainAt;
    if (length > left) throw new FormatError(`needs ${length} plain bytes, ${left} are left`, `byte ${this.plainAt}`);
    this.plainAt += length;
    return this.bytes.subarray(this.plainAt - length, this.plainAt);
  }
  spend(units: number, what: string): void {
    this.#spent += units;
    if (!(this.#spent <= this.limit))
      throw new FormatError(
        `asks for ${units} units, more than the limit of ${this.limit} for a file of ${this.bytes.length} bytes`,
        what,
      );
  }
  /** Throws unless all plain bytes were used. */
  finish(): void {
    if (this.plainAt !== this.bytes.length)
      throw new FormatError(`${this.bytes.length - this.plainAt} bytes too many`, `byte ${this.plainAt}`);
  }
}
