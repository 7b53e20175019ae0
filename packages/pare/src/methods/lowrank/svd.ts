/** A matrix of rank r as two: a dense layer, or a convolution k x k to r channels and one of 1 x 1 from there. */
import { balance, outputBasis } from "../../linear/approximate.js";
import { allAxes, type Factorizer, fill, tail } from "../../linear/factorizer.js";
import { firstRows, multiply, transpose } from "../../linear/matrix.js";
import { lowRank } from "../low-rank.js";

/** Eigenvectors take 6 n^3 operations: beyond this, minutes. */
const largest = 2048;

export const svdFactorizer: Factorizer = {
  id: "svd",
  refuses: ({ weight }) =>
    Math.min(weight.rows, weight.cols) > largest
      ? `its weight is ${weight.rows} x ${weight.cols}: the smaller side is more than ${largest}`
      : null,
  full: (l) => [Math.min(l.outputs, l.weight.cols)],
  stages: (l, [r]) => [
    { inputs: l.inputs, outputs: r!, group: 1, slides: allAxes(l) },
    { inputs: r!, outputs: l.outputs, group: 1, slides: [] },
  ],
  unfoldings: (l) => [l.weight],
  foresee({ best, metric }) {
    const lost = tail(outputBasis(best, metric).values);
    return ([r]) => lost(r!);
  },
  solve(problem, ranks) {
    const { layer, best, metric } = problem;
    const v = firstRows(outputBasis(best, metric).rows, ranks[0]!);
    const [first, second] = [multiply(v, best), transpose(v)];
    const weight = multiply(second, first);
    balance(first, second);
    return { stages: fill(this.stages(layer, ranks), [first, second]), weight };
  },
};

/**
 * Without data the truncated SVD (Eckart, Young 1936): the error is the root of the sum of the dropped squared singular values. With data the
 * directions are those of the answers, W G W^T (Zhang, Zou, He, Sun 2015, eq. 5), and where earlier layers were factorised already their
 * asymmetric reconstruction (eq. 9): W is refitted to the original answers first.
 * Differs from the papers: the nonlinearity behind the layer is not modelled.
 */
export const svd = lowRank(
  svdFactorizer,
  "Denton, Zaremba, Bruna, LeCun, Fergus: Exploiting Linear Structure Within Convolutional Networks, 2014 (1404.0736); Zhang, Zou, He, Sun: Accelerating Very Deep Convolutional Networks, 2015 (1505.06798)",
);
