/** Parameters as one flat vector: where each lies, what is masked, what shares values. */

import type { Parameter } from "../analyze/parameters.js";
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { Codebook } from "./options.js";

export interface Segment {
  readonly parameter: Parameter;
  /** Where its full values lie in the weights, and how many they are. */
  readonly offset: number;
  readonly length: number;
  /** Where its trained values lie in the vector: the same values, or the centroids of its codebook. */
  readonly at: number;
  readonly count: number;
  readonly codebook: Codebook | null;
}
export interface Layout {
  readonly segments: readonly Segment[];
  /** Elements of the weights: what the gradient run reads. */
  readonly weights: number;
  /** Elements of the vector: what the optimizer moves. */
  readonly vector: number;
  /** Whether both are the same: no codebooks. */
  readonly direct: boolean;
}

/** Segments start at multiples of 16 floats (64 bytes), so that kernels see the same alignment in every run; the gaps stay zero. */
const aligned = (n: number): number => Math.ceil(n / 16) * 16;

/** Throws PareError for a codebook that does not fit its parameter. */
export function layoutOf(
  parameters: readonly Parameter[],
  codebooks: ReadonlyMap<string, Codebook> = new Map(),
): Layout {
  const unknown = [...codebooks.keys()].find((name) => !parameters.some((p) => p.name === name));
  if (unknown !== undefined)
    throw new PareError(`codebook for "${unknown}", which is not a trained initialiser`, "usage");
  let offset = 0;
  let at = 0;
  const segments = parameters.map((parameter): Segment => {
    const length = sizeOf(parameter.dims);
    const codebook = codebooks.get(parameter.name) ?? null;
    if (codebook) checkCodebook(parameter, length, codebook);
    const segment = { parameter, offset, length, at, count: codebook ? codebook.centroids.length : length, codebook };
    offset += aligned(length);
    at += aligned(segment.count);
    return segment;
  });
  return { segments, weights: offset, vector: at, direct: codebooks.size === 0 };
}

function checkCodebook(p: Parameter, length: number, { indices, centroids, fixed }: Codebook): void {
  const wrong = (why: string): PareError => new PareError(`codebook of "${p.name}": ${why}`, "usage");
  if (indices.length !== length)
    throw wrong(`${indices.length} indices for shape [${p.dims}], which has ${length} weights`);
  if (fixed !== undefined && !(Number.isInteger(fixed) && fixed >= 0 && fixed < centroids.length))
    throw wrong(`fixed centroid ${fixed} is not one of the ${centroids.length}`);
  const bad = indices.findIndex((i) => i >= centroids.length);
  if (bad >= 0) throw wrong(`index ${indices[bad]} at ${bad} is not one of the ${centroids.length} centroids`);
  if (!centroids.every(Number.isFinite)) throw wrong("a centroid is not a finite number");
}

/** The vector's values as full weights. `weights` may be the vector itself where the layout is direct. */
export function expand(layout: Layout, vector: Float32Array, weights: Float32Array): void {
  if (vector === weights) return;
  for (const { offset, length, at, count, codebook } of layout.segments) {
    if (!codebook) weights.set(vector.subarray(at, at + count), offset);
    else for (let i = 0; i < length; i++) weights[offset + i] = vector[at + codebook.indices[i]!]!;
  }
}

/** A gradient of the full weights as one of the vector: a centroid's is the sum over its members (Han, Mao, Dally 2016, eq. 3). */
export function reduce(layout: Layout, weights: Float32Array, vector: Float32Array): void {
  if (vector === weights) return;
  for (const { offset, length, at, count, codebook } of layout.segments) {
    if (!codebook) vector.set(weights.subarray(offset, offset + length), at);
    else {
      const sums = new Float64Array(count);
      for (let i = 0; i < length; i++) sums[codebook.indices[i]!]! += weights[offset + i]!;
      vector.set(sums, at);
    }
  }
}

/** 1 where the vector's element is trained: not masked, not a fixed centroid, not a gap. Throws PareError for a mask that does not fit. */
export function trainable(layout: Layout, masks: ReadonlyMap<string, Uint8Array>): Float32Array {
  const known = new Map(layout.segments.map((s) => [s.parameter.name, s]));
  const out = new Float32Array(layout.vector);
  for (const { at, count, codebook } of layout.segments) {
    out.fill(1, at, at + count);
    if (codebook?.fixed !== undefined) out[at + codebook.fixed] = 0;
  }
  for (const [name, mask] of masks) {
    const segment = known.get(name);
    if (!segment) throw new PareError(`mask for "${name}", which is not a trained initialiser`, "usage");
    const { parameter, length, at, codebook } = segment;
    if (mask.length !== length)
      throw new PareError(
        `mask of "${name}" has ${mask.length} elements, shape [${parameter.dims}] has ${length}`,
        "usage",
      );
    if (codebook) checkMaskedCodebook(name, mask, codebook);
    else for (let i = 0; i < length; i++) if (mask[i] === 0) out[at + i] = 0;
  }
  return out;
}

/** With a codebook, what is masked must be the fixed centroid 0. */
function checkMaskedCodebook(name: string, mask: Uint8Array, { indices, centroids, fixed }: Codebook): void {
  for (let i = 0; i < mask.length; i++)
    if (mask[i] === 0 && !(indices[i] === fixed && centroids[indices[i]!] === 0))
      throw new PareError(
        `mask and codebook of "${name}" disagree at element ${i}: what is masked must share a fixed centroid of value 0`,
        "usage",
      );
}

/** 1 where penalties hold. */
export function decaying(layout: Layout): Float32Array {
  const out = new Float32Array(layout.vector);
  for (const { parameter, at, count } of layout.segments) if (parameter.decays) out.fill(1, at, at + count);
  return out;
}
