/** Counts the elements of a tensor that are not zero, of whatever type, without decoding it. */
import type { Tensor } from "../graph/graph.js";
import { bitsOf, sizeOf } from "../graph/tensor.js";

/** A negative zero is zero. */
export function nonzeroIn(t: Tensor): number {
  const size = sizeOf(t.dims);
  const bits = bitsOf[t.type];
  if (bits === 0) return size;
  const signed = t.type.startsWith("float") || t.type.startsWith("bfloat");
  if (bits < 8) return packed(t.bytes, size, bits, signed);
  const width = bits / 8;
  let count = 0;
  for (let i = 0, at = 0; i < size; i++, at += width) {
    let any = 0;
    for (let k = 0; k < width - 1; k++) any |= t.bytes[at + k]!;
    const top = t.bytes[at + width - 1]!;
    if (any | (signed ? top & 0x7f : top)) count++;
  }
  return count;
}
function packed(bytes: Uint8Array, size: number, bits: number, signed: boolean): number {
  const mask = (1 << bits) - 1;
  const magnitude = signed ? mask >> 1 : mask;
  let count = 0;
  for (let i = 0; i < size; i++) {
    const bit = i * bits;
    const pair = bytes[bit >> 3]! | ((bytes[(bit >> 3) + 1] ?? 0) << 8);
    if ((pair >> (bit & 7)) & magnitude) count++;
  }
  return count;
}
