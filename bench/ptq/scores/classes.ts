/** Classifiers: how many are right, how many agree with the float model. Ratios in 0..1. */
import type { Predictions } from "../predict.js";

const best = (scores: Float32Array): number => scores.reduce((top, v, i) => (v > scores[top]! ? i : top), 0);
const classes = (p: Predictions): number[] => Object.values(p.outputs)[0]!.map(best);
const share = (a: readonly number[], b: readonly number[]): number => a.filter((v, i) => v === b[i]).length / a.length;

export function classScores(float: Predictions, other: Predictions): Record<string, number> {
  const chosen = classes(other);
  const agreement = share(chosen, classes(float));
  return other.labels.length ? { accuracy: share(chosen, other.labels), agreement } : { agreement };
}
