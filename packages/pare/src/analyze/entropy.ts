/** What a tensor's contents weigh if coded without any model: values -> bytes of the zeroth-order bound, codebook included. */
import type { Graph } from "../graph/graph.js";
import { bitsOf, float32sOf, sizeOf } from "../graph/tensor.js";

/** Bits per symbol of a source with these counts. */
export function entropyBits(counts: Iterable<number>): number {
  const list = [...counts].filter((c) => c > 0);
  const total = list.reduce((sum, c) => sum + c, 0);
  return list.reduce((bits, c) => bits - (c / total) * Math.log2(c / total), 0);
}

/**
 * Bytes of a float32 tensor: entropy of the mask (zero or not) plus entropy of the non-zero values with their table (4 bytes each), or the
 * survivors as plain float32 where that is less.
 */
export function tensorEntropyBytes(values: Float32Array): number {
  const counts = new Map<number, number>();
  for (const v of values) if (v !== 0) counts.set(v, (counts.get(v) ?? 0) + 1);
  const alive = [...counts.values()].reduce((n, c) => n + c, 0);
  const mask = values.length * entropyBits([alive, values.length - alive]);
  const coded = alive * entropyBits(counts.values()) + 32 * counts.size;
  return (mask + Math.min(coded, 32 * alive)) / 8;
}

/** The bound over all initialisers of a graph; types other than float32 count as they are stored. */
export function entropyBytes(graph: Graph): number {
  let bytes = 0;
  for (const t of graph.initializers.values())
    bytes += t.type === "float32" ? tensorEntropyBytes(float32sOf(t)) : (sizeOf(t.dims) * bitsOf[t.type]) / 8;
  return bytes;
}
