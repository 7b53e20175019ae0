/** One-dimensional weighted k-means: values -> centroids in rising order and the index of each value's centroid. */
import { Random } from "../data/random.js";

export interface Clusters {
  /** Rising; at most k, fewer where there are fewer distinct values. */
  readonly centroids: Float32Array;
  readonly indices: Uint32Array;
}
/**
 * linear: evenly between the smallest and the largest value; density: at even steps of the distribution; random: at values drawn without
 * repetition (Han, Mao, Dally 2016, section 3.2).
 */
export type Initialisation = "linear" | "density" | "random";

/** Index of the centroid nearest to v; of two equally near the lower. `centroids` rise. */
export function nearest(centroids: ArrayLike<number>, v: number): number {
  let [lo, hi] = [0, centroids.length - 1];
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (v > (centroids[mid]! + centroids[mid + 1]!) / 2) lo = mid + 1;
    else hi = mid;
  }
  return lo;
}

/** Centroids before the first iteration, rising. `sorted` rises. */
function initial(sorted: Float64Array, k: number, init: Initialisation, seed: number): number[] {
  const n = sorted.length;
  if (init === "linear") {
    const [min, max] = [sorted[0]!, sorted[n - 1]!];
    return Array.from({ length: k }, (_, j) => (k === 1 ? (min + max) / 2 : min + ((max - min) * j) / (k - 1)));
  }
  if (init === "density") return Array.from({ length: k }, (_, j) => sorted[Math.floor(((j + 0.5) * n) / k)]!);
  const random = new Random(seed);
  return Array.from({ length: k }, () => sorted[random.below(n)]!).sort((a, b) => a - b);
}

/**
 * Lloyd's algorithm on the real line, over prefix sums of the sorted values: exact assignment in O(k log n) per iteration. Where there are no
 * more than k distinct values, these are the centroids.
 * `weights` (same length, not negative) makes it minimise the weighted squared distance. Empty clusters are dropped.
 */
export function kMeans(
  values: Float32Array,
  k: number,
  options: { readonly init?: Initialisation; readonly weights?: ArrayLike<number>; readonly seed?: number } = {},
): Clusters {
  const { init = "linear", weights, seed = 0 } = options;
  if (values.length === 0 || k < 1) return { centroids: new Float32Array(0), indices: new Uint32Array(0) };
  const distinct = Float32Array.from(new Set(values)).sort();
  if (distinct.length <= k) return { centroids: distinct, indices: assign(distinct, values) };
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]! || a - b);
  const sorted = Float64Array.from(order, (i) => values[i]!);
  const mass = new Float64Array(sorted.length + 1);
  const moment = new Float64Array(sorted.length + 1);
  order.forEach((i, j) => {
    const w = weights?.[i] ?? 1;
    mass[j + 1] = mass[j]! + w;
    moment[j + 1] = moment[j]! + w * sorted[j]!;
  });
  let centroids = initial(sorted, Math.min(k, sorted.length), init, seed);
  for (let iteration = 0; iteration < 200; iteration++) {
    const bounds = boundaries(sorted, centroids);
    const next = centroids.map((c, j) => {
      const w = mass[bounds[j + 1]!]! - mass[bounds[j]!]!;
      return w > 0 ? (moment[bounds[j + 1]!]! - moment[bounds[j]!]!) / w : c;
    });
    const moved = next.some((c, j) => c !== centroids[j]);
    centroids = next;
    if (!moved) break;
  }
  const bounds = boundaries(sorted, centroids);
  const used = centroids.filter((_, j) => bounds[j + 1]! > bounds[j]!);
  const rounded = Float32Array.from(new Set(Float32Array.from(used)));
  return { centroids: rounded, indices: assign(rounded, values) };
}
const assign = (centroids: Float32Array, values: Float32Array): Uint32Array =>
  Uint32Array.from(values, (v) => nearest(centroids, v));

/** Cluster j holds sorted[bounds[j]] up to sorted[bounds[j + 1]]. */
function boundaries(sorted: Float64Array, centroids: readonly number[]): number[] {
  const bounds = [0];
  for (let j = 0; j + 1 < centroids.length; j++) {
    const middle = (centroids[j]! + centroids[j + 1]!) / 2;
    let [lo, hi] = [bounds[j]!, sorted.length];
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (sorted[mid]! > middle) hi = mid;
      else lo = mid + 1;
    }
    bounds.push(lo);
  }
  bounds.push(sorted.length);
  return bounds;
}
