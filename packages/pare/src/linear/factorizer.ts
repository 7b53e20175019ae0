/** What a factorization can say and do: a layer enters; why not, which ranks, what they would cost and lose, and the smaller layers leave. */
import type { LinearLayer } from "./layers.js";
import type { Matrix } from "./matrix.js";
import type { Problem } from "./problem.js";
import type { FilledStage, Stage } from "./replace.js";

/** One number for most; input and output rank for Tucker-2. */
export type Ranks = readonly number[];

export interface Factorization {
  readonly stages: readonly FilledStage[];
  /** [o n]: the product of the stages. */
  readonly weight: Matrix;
}
export interface Factorizer {
  /** As in --method. */
  readonly id: "svd" | "tucker2" | "spatial" | "cp" | "separable";
  /** Why the layer has no such form; null where it has. */
  refuses(layer: LinearLayer): string | null;
  /** Largest ranks that make sense, one per entry of Ranks: nothing, or all but nothing, is lost there. */
  full(layer: LinearLayer): Ranks;
  stages(layer: LinearLayer, ranks: Ranks): readonly Stage[];
  /** The matrices whose ranks these are, one per entry of Ranks; null: they are no ranks of matrices. */
  unfoldings(layer: LinearLayer): readonly Matrix[] | null;
  /** The mean square error of ranks, as a share of the energy, before they are solved for: exact or a good guess. */
  foresee(problem: Problem): (ranks: Ranks) => number;
  /** `rounds`: how often factors that have no closed form are gone through. */
  solve(problem: Problem, ranks: Ranks, rounds: number): Factorization;
}

/** Why no convolution: for factorizers of kernels. */
export const needsKernel = (layer: LinearLayer): string | null =>
  layer.kernel.length === 0
    ? "a matrix product has no kernel"
    : layer.kernel.every((k) => k === 1)
      ? "its kernel is one element"
      : null;

/** Energy beyond the first r, as a share of all. */
export function tail(values: Float64Array): (r: number) => number {
  const total = values.reduce((s, v) => s + v, 0);
  const sums = [total];
  for (const v of values) sums.push(sums.at(-1)! - v);
  return (r) => (total > 0 ? Math.max(0, sums[Math.min(r, values.length)]!) / total : 0);
}
export const allAxes = (layer: LinearLayer): number[] => layer.kernel.map((_, d) => d);
export const fill = (stages: readonly Stage[], weights: readonly Matrix[]): FilledStage[] =>
  stages.map((s, i) => ({ ...s, weight: weights[i]!.data }));
