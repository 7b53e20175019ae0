/** A tensor's elements as bit patterns, numbered: packed bytes <-> 32-bit words. */
import { elementBits, elements, type Tensor } from "./model.js";

/** One word per element, two (low, high) for 64-bit types; null for types of other widths. */
export function toWords(t: Tensor): { words: Uint32Array; wide: boolean } | null {
  const bits = elementBits(t.type);
  const n = elements(t.dims);
  const b = t.bytes;
  if (bits === 64) return { words: new Uint32Array(Uint8Array.from(b).buffer, 0, n * 2), wide: true };
  if (bits === 32) return { words: new Uint32Array(Uint8Array.from(b).buffer, 0, n), wide: false };
  if (bits !== 16 && bits !== 8 && bits !== 4 && bits !== 2) return null;
  const words = new Uint32Array(n);
  if (bits === 16) for (let i = 0; i < n; i++) words[i] = b[2 * i]! | (b[2 * i + 1]! << 8);
  else {
    const perByte = 8 / bits;
    for (let i = 0; i < n; i++) words[i] = (b[Math.floor(i / perByte)]! >> ((i % perByte) * bits)) & ((1 << bits) - 1);
  }
  return { words, wide: false };
}

/** The bytes of elements chosen from `entries`, a codebook of words as `toWords` gives them. */
export function fromIndices(t: Tensor, indices: ArrayLike<number>, entries: Uint32Array): Uint8Array {
  const bits = elementBits(t.type);
  const n = elements(t.dims);
  if (bits === 64) {
    const out = new Uint32Array(2 * n);
    for (let i = 0; i < n; i++) {
      out[2 * i] = entries[2 * indices[i]!]!;
      out[2 * i + 1] = entries[2 * indices[i]! + 1]!;
    }
    return new Uint8Array(out.buffer);
  }
  const out =
    bits === 32 ? new Uint32Array(n) : bits === 16 ? new Uint16Array(n) : new Uint8Array(Math.ceil((n * bits) / 8));
  if (bits >= 8) for (let i = 0; i < n; i++) out[i] = entries[indices[i]!]!;
  else {
    const perByte = 8 / bits;
    for (let i = 0; i < n; i++) out[Math.floor(i / perByte)]! |= entries[indices[i]!]! << ((i % perByte) * bits);
  }
  return new Uint8Array(out.buffer);
}
