/** A tensor's elements as bit patterns, numbered: packed bytes <-> 32-bit words. */
import { type ElementType, elementBits, elements, type Tensor } from "./model.js";

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

/** The bytes of words as `toWords` gives them. */
export function fromWords(type: ElementType, words: Uint32Array): Uint8Array {
  const bits = elementBits(type);
  if (bits >= 32) return bytesOf(words);
  if (bits === 16) return bytesOf(Uint16Array.from(words));
  if (bits === 8) return Uint8Array.from(words);
  const out = new Uint8Array(Math.ceil((words.length * bits) / 8));
  const perByte = 8 / bits;
  for (let i = 0; i < words.length; i++) out[Math.floor(i / perByte)]! |= words[i]! << ((i % perByte) * bits);
  return out;
}
const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** The bytes of elements chosen from `entries`, a codebook of words as `toWords` gives them. */
export function fromIndices(type: ElementType, indices: Uint8Array, entries: Uint32Array): Uint8Array {
  const wide = elementBits(type) === 64;
  const words = new Uint32Array(indices.length * (wide ? 2 : 1));
  if (wide) {
    for (let i = 0; i < indices.length; i++) {
      words[2 * i] = entries[2 * indices[i]!]!;
      words[2 * i + 1] = entries[2 * indices[i]! + 1]!;
    }
  } else for (let i = 0; i < indices.length; i++) words[i] = entries[indices[i]!]!;
  return fromWords(type, words);
}
