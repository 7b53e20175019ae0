/** A pruned tensor in few values -> Deep Compression's coding of it: relative indices with filler zeros, Huffman on gaps and on values. */
import {
  type CodebookPlan,
  canonicalCodes,
  type DeepCompressionPlan,
  maxLength,
  type Tensor,
} from "@pare/runtime/writer";
import { huffmanLengths } from "./huffman-lengths.js";

export interface GapBits {
  readonly conv: number;
  readonly dense: number;
}
/** Han, Mao, Dally (2016), section 2: 8 bits for convolutions, 5 for fully connected layers. */
export const publishedGapBits: GapBits = { conv: 8, dense: 5 };
export const gapBitsOf = (t: Tensor, bits: GapBits): number => (t.dims.length > 2 ? bits.conv : bits.dense);

/** Gaps and values of the survivors in row order, fillers among them. `null` where the tensor has no zero to leave out. */
export function relativeIndices(
  book: CodebookPlan,
  gapBits: number,
): { gaps: Uint8Array; values: Uint8Array; fillers: number } {
  const longest = 2 ** gapBits - 1;
  const gaps: number[] = [];
  const values: number[] = [];
  let fillers = 0;
  let gap = 0;
  for (const index of book.indices) {
    if (index === book.centre && gap < longest) {
      gap++;
      continue;
    }
    if (index === book.centre) fillers++;
    gaps.push(gap);
    values.push(index);
    gap = 0;
  }
  // A filler after the last survivor says nothing.
  while (values.length > 0 && values[values.length - 1] === book.centre) {
    values.pop();
    gaps.pop();
    fillers--;
  }
  return { gaps: Uint8Array.from(gaps), values: Uint8Array.from(values), fillers };
}

export function deepCompressionPlan(book: CodebookPlan, gapBits: number): DeepCompressionPlan {
  const { gaps, values } = relativeIndices(book, gapBits);
  const gapLengths = huffmanLengths(countsOf(gaps, 2 ** gapBits), maxLength);
  const valueLengths = huffmanLengths(countsOf(values, countOf(book)), maxLength);
  const stream = write(gaps, values, gapLengths, valueLengths);
  const { words, form, integers, scale, centre } = book;
  const codebook = { words, form, integers, scale, centre };
  return { coding: "deep-compression", ...codebook, gapBits, gapLengths, valueLengths, count: gaps.length, stream };
}

/** Entries of a codebook: the largest index is in use. */
const countOf = (book: CodebookPlan): number => book.indices.reduce((most, i) => Math.max(most, i), 0) + 1;
export function countsOf(symbols: Uint8Array, size: number): Uint32Array {
  const counts = new Uint32Array(size);
  for (const s of symbols) counts[s]!++;
  return counts;
}

function write(gaps: Uint8Array, values: Uint8Array, gapLengths: Uint8Array, valueLengths: Uint8Array): Uint8Array {
  const gapCodes = canonicalCodes(gapLengths);
  const valueCodes = canonicalCodes(valueLengths);
  let bits = 0;
  for (let i = 0; i < gaps.length; i++) bits += gapLengths[gaps[i]!]! + valueLengths[values[i]!]!;
  const out = new Uint8Array(Math.ceil(bits / 8));
  let at = 0;
  const put = (code: number, length: number) => {
    for (let b = length - 1; b >= 0; b--, at++) out[at >>> 3]! |= ((code >>> b) & 1) << (at & 7);
  };
  for (let i = 0; i < gaps.length; i++) {
    put(gapCodes[gaps[i]!]!, gapLengths[gaps[i]!]!);
    put(valueCodes[values[i]!]!, valueLengths[values[i]!]!);
  }
  return out;
}
