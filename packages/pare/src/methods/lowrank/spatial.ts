/** A convolution k x k as k x 1 to r channels, then 1 x k from there. */
import {
  balance,
  columnsOf,
  fitOutput,
  inputBasis,
  refine,
  splitColumns,
  spreadOver,
  unfold,
} from "../../linear/approximate.js";
import { type Factorizer, fill, needsKernel, tail } from "../../linear/factorizer.js";
import type { LinearLayer } from "../../linear/layers.js";
import { firstRows, multiply } from "../../linear/matrix.js";
import { lowRank } from "../low-rank.js";

/** Columns c y of the first stage, and x of the second. */
const splitOf = (l: LinearLayer) => splitColumns([l.inputs, ...l.kernel], [0, 1]);

export const spatialFactorizer: Factorizer = {
  id: "spatial",
  refuses: (l) =>
    needsKernel(l) ??
    (l.kernel.length !== 2
      ? `its kernel has ${l.kernel.length} axes, not 2`
      : l.kernel.includes(1)
        ? `its kernel is ${l.kernel.join(" x ")} already`
        : null),
  full: (l) => [Math.min(l.inputs * l.kernel[0]!, l.outputs * l.kernel[1]!)],
  stages: (l, [r]) => [
    { inputs: l.inputs, outputs: r!, group: 1, slides: [0] },
    { inputs: r!, outputs: l.outputs, group: 1, slides: [1] },
  ],
  unfoldings: (l) => [unfold(l.weight, splitOf(l))],
  foresee(problem) {
    const lost = tail(inputBasis(problem, splitOf(problem.layer)).values);
    return ([r]) => lost(r!);
  },
  solve(problem, ranks, rounds) {
    const { layer } = problem;
    const split = splitOf(layer);
    let v = firstRows(inputBasis(problem, split).rows, ranks[0]!);
    let q = spreadOver(v, split);
    let k = fitOutput(problem, q).k;
    for (let round = 0; round < (problem.metric ? rounds : 0); round++) {
      const component = (r: number) => ({ at: split.b, k: columnsOf(k, r, split.b.length) });
      v = refine(problem, v, split.a, multiply(k, q), component);
      q = spreadOver(v, split);
      k = fitOutput(problem, q).k;
    }
    const weight = multiply(k, q);
    balance(v, k);
    return { stages: fill(this.stages(layer, ranks), [v, k]), weight };
  },
};

/**
 * Jaderberg et al. 2014, scheme 2, in the closed form of Tai et al. 2016 (theorem 1): one SVD of [c y, x o].
 * With data that SVD is weighted by the inputs' second moments, averaged over x; then both stages are fitted in turn to the layer's answers.
 * Differs from the papers: no training is needed to reconstruct; no BatchNormalization between the stages.
 */
export const spatial = lowRank(
  spatialFactorizer,
  "Jaderberg, Vedaldi, Zisserman: Speeding up Convolutional Neural Networks with Low Rank Expansions, 2014 (1405.3866); Tai, Xiao, Zhang, Wang, E: Convolutional neural networks with low-rank regularization, 2016 (1511.06067)",
);
