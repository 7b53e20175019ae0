/** The three lines of size: weights kept, what a zeroth-order entropy coder would need, and the bytes of the real file, tensor by tensor. */
import type { Coding, Plan, Tensor } from "@pare/runtime/writer";
import { elementBits, elements, maxEntries, toWords } from "@pare/runtime/writer";
import { tensorEntropyBytes } from "../analyze/entropy.js";
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { type PackOptions, packWithSizes } from "./pack.js";

export interface TensorSize {
  /** The initialiser's name; node and attribute for tensors in attributes. */
  readonly name: string;
  readonly coding: Coding;
  readonly elements: number;
  readonly nonzero: number;
  /** Bits that tell the distinct non-zero values apart (the codebook's index); the element's own width where there is no codebook. */
  readonly bits: number;
  /** Zeroth-order bound of mask and values: what is left when neighbours say nothing. */
  readonly entropyBytes: number;
  /** Its share of the file. */
  readonly bytes: number;
}
export interface PackedSize {
  readonly elements: number;
  readonly nonzero: number;
  readonly entropyBytes: number;
  /** Length of the file. */
  readonly bytes: number;
  /** Head, operators, names, shapes. */
  readonly topologyBytes: number;
  readonly tensors: readonly TensorSize[];
}

/** Packs the graph and says what takes how much. */
export function packedSize(graph: Graph, options: PackOptions = {}): PackedSize {
  const { bytes, topologyBits, tensors } = packWithSizes(graph, options);
  const sizes = tensors.map(
    ({ name, tensor, plan, bits }): TensorSize => ({
      name,
      coding: plan.coding,
      ...countsOf(tensor, plan),
      bytes: bits / 8,
    }),
  );
  const sum = (of: (t: TensorSize) => number) => sizes.reduce((total, t) => total + of(t), 0);
  return {
    elements: sum((t) => t.elements),
    nonzero: sum((t) => t.nonzero),
    entropyBytes: sum((t) => t.entropyBytes),
    bytes: bytes.length,
    topologyBytes: topologyBits / 8,
    tensors: sizes,
  };
}

function countsOf(t: Tensor, plan: Plan): Pick<TensorSize, "elements" | "nonzero" | "bits" | "entropyBytes"> {
  const n = t.strings?.length ?? elements(t.dims);
  const found = t.strings ? null : toWords(t);
  if (!found) return { elements: n, nonzero: n, bits: elementBits(t.type), entropyBytes: t.bytes.length };
  const { words, wide } = found;
  const distinct = new Set<number>();
  let zeros = 0;
  for (let i = 0; i < n; i++) {
    const value = wide ? words[2 * i]! + words[2 * i + 1]! * 2 ** 32 : words[i]!;
    if (value === 0) zeros++;
    else if (distinct.size <= maxEntries) distinct.add(value);
  }
  const coded = plan.coding === "codebook" || plan.coding === "constant" || plan.coding === "deep-compression";
  return {
    elements: n,
    nonzero: n - zeros,
    bits: coded ? Math.ceil(Math.log2(Math.max(1, distinct.size))) : elementBits(t.type),
    entropyBytes: t.type === "float32" ? tensorEntropyBytes(float32sOf(t)) : t.bytes.length,
  };
}
