/** The table of "Deep Compression" (Han, Mao, Dally 2016, tables 2-5) for a model of ours: per layer what is kept and what each stage costs. */
import { elements, type Tensor } from "@pare/runtime/writer";
import type { Graph } from "../graph/graph.js";
import { codebookPlan } from "./codebook-plan.js";
import { countsOf, type GapBits, gapBitsOf, publishedGapBits, relativeIndices } from "./deep-compression-plan.js";
import { huffmanLengths } from "./huffman-lengths.js";

export interface DeepCompressionRow {
  readonly name: string;
  readonly weights: number;
  readonly kept: number;
  /** Filler zeros that long gaps need; they are stored like survivors. */
  readonly fillers: number;
  /** Bits of a codebook index, as a field of fixed width and on average after Huffman coding. */
  readonly valueBits: readonly [pruneQuantize: number, huffman: number];
  /** The same for the gaps. */
  readonly gapBits: readonly [pruneQuantize: number, huffman: number];
  /** Bytes with codebook (4 bytes a value) and, after Huffman coding, both code tables (4 bits a symbol). */
  readonly bytes: readonly [pruneQuantize: number, huffman: number];
}

/** One row per pruned weight tensor of two or more axes that has few distinct values. */
export function deepCompressionTable(graph: Graph, bits: GapBits = publishedGapBits): DeepCompressionRow[] {
  return [...graph.initializers].flatMap(([name, t]) => {
    const row = t.dims.length > 1 && t.type === "float32" ? rowOf(name, t, gapBitsOf(t, bits)) : null;
    return row ? [row] : [];
  });
}

function rowOf(name: string, t: Tensor, gapBits: number): DeepCompressionRow | null {
  const book = codebookPlan(t);
  if (book?.words[book.centre] !== 0) return null;
  const { gaps, values, fillers } = relativeIndices(book, gapBits);
  const used = book.words.length - (fillers > 0 ? 0 : 1);
  const valueBits = Math.ceil(Math.log2(Math.max(2, used)));
  const stored = gaps.length;
  const average = (symbols: Uint8Array, size: number) => {
    const counts = countsOf(symbols, size);
    const lengths = huffmanLengths(counts, 30);
    return counts.reduce((sum, n, s) => sum + n * lengths[s]!, 0) / Math.max(1, stored);
  };
  const huffman = [average(values, book.words.length), average(gaps, 2 ** gapBits)] as const;
  const codebookBytes = 4 * (book.words.length - 1);
  const tableBits = 4 * (book.words.length + 2 ** gapBits);
  return {
    name,
    weights: elements(t.dims),
    kept: stored - fillers,
    fillers,
    valueBits: [valueBits, huffman[0]],
    gapBits: [gapBits, huffman[1]],
    bytes: [
      Math.ceil((stored * (valueBits + gapBits)) / 8) + codebookBytes,
      Math.ceil((stored * (huffman[0] + huffman[1]) + tableBits) / 8) + codebookBytes,
    ],
  };
}
