/**
 * Sparse tensors as published by Han, Mao, Dally (2016): gaps between survivors in fields of a fixed number of bits with filler zeros, codebook
 * indices, and a Huffman code for each of the two.
 */
import type { BitCoder } from "./bit-coder.js";
import { type Codebook, entries } from "./codebook.js";
import { fromIndices } from "./elements.js";
import type { Fields } from "./fields.js";
import { BitReader, symbolReader } from "./huffman.js";
import { elementBits, elements, type Tensor } from "./model.js";

export interface DeepCompressionPlan extends Codebook {
  readonly coding: "deep-compression";
  /** Bits of a gap before Huffman coding; a gap of 2^b - 1 zeros at most, then a survivor or a filler. */
  readonly gapBits: number;
  readonly gapLengths: Uint8Array;
  readonly valueLengths: Uint8Array;
  /** Survivors and fillers. */
  readonly count: number;
  /** Gap, value, gap, value, ... Huffman-coded. */
  readonly stream: Uint8Array;
}

/** Codes `t`; a reader fills in its bytes. */
export function deepCompression(
  io: BitCoder,
  f: Fields,
  t: Tensor,
  plan: DeepCompressionPlan | null,
  what: string,
): void {
  const bits = elementBits(t.type);
  if (bits === 0 || bits > 64 || 64 % bits !== 0) throw f.error(`${what} cannot have a codebook`);
  const { words, count: values } = entries(f, bits, plan, what);
  const zero = f.uint("codebook.centre", plan?.centre ?? 0);
  if (zero >= values) throw f.error(`${what}: entry ${zero} of ${values}`);
  const gapBits = 1 + f.choice("gap.bits", 3, (plan?.gapBits ?? 1) - 1);
  const lengths = (field: string, size: number, known: Uint8Array | undefined): Uint8Array =>
    Uint8Array.from({ length: size }, (_, i) => f.choice(field, 4, known?.[i] ?? 0));
  const gapLengths = lengths("huffman.gap", 1 << gapBits, plan?.gapLengths);
  const valueLengths = lengths("huffman.value", values, plan?.valueLengths);
  const count = f.count("survivors", plan?.count ?? 0);
  const size = f.uint("stream", plan?.stream.length ?? 0);
  const n = elements(t.dims);
  const stream = io.plain(size, plan?.stream);
  if (!io.reading) return;
  const indices = new Uint8Array(n).fill(zero);
  const input = new BitReader(stream);
  const gap = symbolReader(gapLengths);
  const value = symbolReader(valueLengths);
  let at = -1;
  for (let i = 0; i < count; i++) {
    at += gap(input) + 1;
    if (at >= n) throw f.error(`${what}: survivor ${i} of ${count} is beyond the last element`);
    indices[at] = value(input);
  }
  t.bytes = fromIndices(t.type, indices, words);
}
