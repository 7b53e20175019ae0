/** Importance by size alone: weights -> |w|, w^2 or the LAMP score. */
import type { Measure, Scores } from "./measure.js";
import { valuesOf } from "./weight-values.js";

/** |w|: the same scale in every layer. */
export const magnitudes = (values: Float32Array): Float32Array => values.map(Math.abs);

/**
 * LAMP (Lee, Park, Mo, Ahn, Shin 2021, eq. 4): w^2 over the sum of the squares of the layer's weights that are at least as large.
 * Comparable across layers: the largest weight of every layer scores 1, so no layer is emptied.
 */
export function lampScores(values: Float32Array): Float32Array {
  const order = descending(values);
  const scores = new Float32Array(values.length);
  let sum = 0;
  for (const i of order) {
    const square = values[i]! ** 2;
    sum += square;
    scores[i] = sum > 0 ? square / sum : 0;
  }
  return scores;
}

/** Indices from the largest |value| to the smallest; equal ones keep their order, so that the result is the same everywhere. */
function descending(values: Float32Array): Uint32Array {
  const size = magnitudes(values);
  const order = Uint32Array.from(values.keys());
  return order.sort((a, b) => size[b]! - size[a]! || a - b);
}

/** Standard deviation over the weights that are not zero (all of them while the layer is dense); 0 for an empty layer. */
export function standardDeviation(values: Float32Array): number {
  let [n, sum, squares] = [0, 0, 0];
  for (const v of values) {
    if (v === 0) continue;
    n++;
    sum += v;
    squares += v * v;
  }
  return n === 0 ? 0 : Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
}

const each =
  (score: (values: Float32Array) => Float32Array): Measure["score"] =>
  ({ graph, names }): Scores =>
    new Map(names.map((name) => [name, score(valuesOf(graph, name))]));

export const l1: Measure = {
  paper: "Han, Pool, Tran, Dally: Learning both Weights and Connections, 2015 (1506.02626)",
  needs: "nothing",
  score: each(magnitudes),
};
/** w^2: over a group its sum is the squared 2-norm. */
export const l2: Measure = {
  paper: "Li, Kadav, Durdanovic, Samet, Graf: Pruning Filters for Efficient ConvNets, 2017 (1608.08710)",
  needs: "nothing",
  score: each((values) => values.map((v) => v * v)),
};
export const lamp: Measure = {
  paper: "Lee, Park, Mo, Ahn, Shin: Layer-adaptive sparsity for the Magnitude-based Pruning, 2021 (2010.07611)",
  needs: "nothing",
  score: each(lampScores),
};
