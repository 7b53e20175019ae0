/** Weights -> what the report shows of their values: bins, shared values, survivors per pixel. */
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import type { Histogram, PixelPicture } from "./facts.js";

/** Beyond this many distinct values a tensor is drawn as a histogram, not as shared values. */
const manyValues = 256;

/** Non-zero values of a float32 initialiser in `bins` equal bins, and its distinct values where they are few. */
export function histogramOf(weight: string, values: Float32Array, bins = 40): Histogram {
  const counts = new Map<number, number>();
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v === 0 || !Number.isFinite(v)) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
    if (counts.size <= manyValues) counts.set(v, (counts.get(v) ?? 0) + 1);
  }
  if (counts.size === 0) return { weight, bins: [], centroids: [] };
  const width = (high - low) / bins || Math.abs(low) || 1;
  const tally = new Uint32Array(bins);
  for (const v of values) {
    if (v !== 0 && Number.isFinite(v)) tally[Math.min(bins - 1, Math.floor((v - low) / width))]!++;
  }
  return {
    weight,
    bins: Array.from(tally, (count, i) => ({ x0: low + i * width, x1: low + (i + 1) * width, count })),
    centroids:
      counts.size <= manyValues
        ? [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => a.value - b.value)
        : [],
  };
}

/** Non-zero weights per pixel of the first matrix with one axis as long as the image input; null where there is none. */
export function pixelPicture(graph: Graph): PixelPicture | null {
  const image = graph.inputs.find((v) => v.shape?.length === 4 && !graph.initializers.has(v.name))?.shape;
  if (!image) return null;
  const [, channels, height, width] = image;
  if (channels !== 1 || typeof height !== "number" || typeof width !== "number") return null;
  for (const [weight, t] of graph.initializers) {
    if (t.type !== "float32" || t.dims.length !== 2) continue;
    const [rows, columns] = t.dims as [number, number];
    const axis = rows === height * width ? 0 : columns === height * width ? 1 : -1;
    if (axis < 0) continue;
    const survivors = new Array<number>(height * width).fill(0);
    float32sOf(t).forEach((v, i) => {
      if (v !== 0) survivors[axis === 0 ? Math.floor(i / columns) : i % columns]!++;
    });
    return { weight, height, width, survivors };
  }
  return null;
}
