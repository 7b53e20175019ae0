/** Canonical Huffman codes: code lengths -> codes and a reader of symbols. Bits run from the lowest of each byte. */
import { FormatError } from "./error.js";

export const maxLength = 15;

/** The code of each symbol (0 bits long: it does not occur), shortest codes first, equal lengths in order of symbols. Throws FormatError where lengths cannot make a code. */
export function canonicalCodes(lengths: ArrayLike<number>): Uint32Array {
  const codes = new Uint32Array(lengths.length);
  let code = 0;
  for (let length = 1; length <= maxLength; length++) {
    code *= 2;
    for (let s = 0; s < lengths.length; s++) if (lengths[s] === length) codes[s] = code++;
    if (code > 2 ** length) throw new FormatError("code lengths that make no code", "huffman");
  }
  return codes;
}

/** Bits of a byte string, in order. */
export class BitReader {
  #at = 0;
  constructor(private readonly bytes: Uint8Array) {}
  bit(): number {
    const byte = this.bytes[this.#at >>> 3];
    if (byte === undefined) throw new FormatError(`no bit ${this.#at}`, "huffman");
    return (byte >>> (this.#at++ & 7)) & 1;
  }
}

/** Reads symbols coded with the canonical code of `lengths`. */
export function symbolReader(lengths: ArrayLike<number>): (bits: BitReader) => number {
  const codes = canonicalCodes(lengths);
  // Per length: its first code, how many there are, and the symbols in order.
  const first = new Uint32Array(maxLength + 1);
  const count = new Uint32Array(maxLength + 1);
  const offset = new Uint32Array(maxLength + 1);
  const order: number[] = [];
  for (let length = 1; length <= maxLength; length++) {
    offset[length] = order.length;
    for (let s = 0; s < lengths.length; s++) {
      if (lengths[s] !== length) continue;
      if (count[length]!++ === 0) first[length] = codes[s]!;
      order.push(s);
    }
  }
  return (bits) => {
    let code = 0;
    for (let length = 1; length <= maxLength; length++) {
      code = code * 2 + bits.bit();
      const at = code - first[length]!;
      if (at >= 0 && at < count[length]!) return order[offset[length]! + at]!;
    }
    throw new FormatError("a code that no symbol has", "huffman");
  };
}
