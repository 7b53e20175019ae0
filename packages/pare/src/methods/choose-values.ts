/** How many values each tensor may share: what k-means would cost in bytes and in loss, tensor by tensor -> one number each. */
import { tensorEntropyBytes } from "../analyze/entropy.js";
import { type Clusters, type Initialisation, kMeans } from "./k-means.js";

/** Numbers of shared values that are tried, up to `most`. */
export const ladderFor = (most: number): number[] =>
  [1, 2, 3, 4, 5, 6, 7, 9, 11, 15, 20, 31, 47, 63, 127, 255].filter((k) => k <= most);

export interface Candidate {
  readonly clusters: Clusters;
  readonly bytes: number;
  /** Expected rise of the mean loss: 1/2 sum F_i (w_i - q_i)^2. */
  readonly lossRise: number;
}
export interface Shareable {
  readonly name: string;
  readonly values: Float32Array;
  /** Per element, the Fisher information; null: unknown, every element counts the same. */
  readonly importance: Float32Array | null;
}

/** What is not zero, with its importance plus `share` of the tensor's mean: a fitted network's empirical Fisher is zero in places. */
export function survivors(
  t: Shareable,
  share = 0.01,
): { readonly at: Uint32Array; readonly values: Float32Array; readonly weights: Float32Array } {
  const at = new Uint32Array(t.values.reduce((n, v) => n + (v === 0 ? 0 : 1), 0));
  let found = 0;
  t.values.forEach((v, i) => {
    if (v !== 0) at[found++] = i;
  });
  const mean = t.importance ? t.importance.reduce((a, b) => a + b, 0) / Math.max(1, t.importance.length) : 1;
  const floor = share * mean || 1e-12;
  return {
    at,
    values: Float32Array.from(at, (i) => t.values[i]!),
    weights: Float32Array.from(at, (i) => (t.importance ? t.importance[i]! + floor : 1)),
  };
}

/** k-means of a tensor's survivors for every number of values in `counts`, which rise. */
export function candidates(
  t: Shareable,
  counts: readonly number[],
  o: { readonly init: Initialisation; readonly seed: number; readonly weighted: boolean },
): Candidate[] {
  const { at, values, weights } = survivors(t);
  const list: Candidate[] = [];
  for (const k of counts) {
    const clusters = kMeans(values, k, { ...o, ...(o.weighted ? { weights } : {}) });
    const shared = new Float32Array(t.values.length);
    let lossRise = 0;
    at.forEach((i, j) => {
      shared[i] = clusters.centroids[clusters.indices[j]!]!;
      lossRise += 0.5 * weights[j]! * (values[j]! - shared[i]!) ** 2;
    });
    list.push({ clusters, bytes: tensorEntropyBytes(shared), lossRise });
    if (clusters.centroids.length < k) break;
  }
  return list;
}

/**
 * One candidate per tensor: the fewest bytes whose loss rises sum to at most `budget` (the least rise where none does). Lagrange: for a price of loss every tensor decides
 * alone (bytes + price x rise); the price is bisected.
 */
export function choose(tensors: readonly (readonly Candidate[])[], budget: number): Candidate[] {
  const at = (price: number): Candidate[] =>
    tensors.map((list) =>
      list.reduce((best, c) => (c.bytes + price * c.lossRise < best.bytes + price * best.lossRise ? c : best)),
    );
  const rise = (chosen: readonly Candidate[]): number => chosen.reduce((sum, c) => sum + c.lossRise, 0);
  let [low, high] = [0, 1];
  while (rise(at(high)) > budget && high < 1e30) high *= 16;
  for (let i = 0; i < 80; i++) {
    const middle = Math.sqrt(Math.max(low, 1e-30) * high);
    if (rise(at(middle)) > budget) low = middle;
    else high = middle;
  }
  return at(high);
}
