/** A convolution as k x k on every channel alone and 1 x 1 behind it, fitted to the layer's answers. */
import { balance, fitOutput, refine, splitColumns } from "../../linear/approximate.js";
import { eigenSymmetric } from "../../linear/eigen.js";
import { allAxes, type Factorizer, fill, needsKernel } from "../../linear/factorizer.js";
import type { LinearLayer } from "../../linear/layers.js";
import { gram, type Matrix, matrix, multiply, rowOf, transpose } from "../../linear/matrix.js";
import { distance, energyOf, type Problem } from "../../linear/problem.js";
import { lowRank } from "../low-rank.js";

const sizeOfKernel = (l: LinearLayer): number => l.weight.cols / l.inputs;

export const separableFactorizer: Factorizer = {
  id: "separable",
  refuses: needsKernel,
  full: (l) => [Math.min(sizeOfKernel(l), l.outputs)],
  stages: (l, [m]) => [
    { inputs: l.inputs, outputs: l.inputs * m!, group: l.inputs, slides: allAxes(l) },
    { inputs: l.inputs * m!, outputs: l.outputs, group: 1, slides: [] },
  ],
  unfoldings: () => null,
  foresee(problem) {
    const energy = energyOf(problem);
    const known = new Map<number, number>();
    return ([m]) => {
      if (!known.has(m!)) known.set(m!, distance(problem, this.solve(problem, [m!], 1).weight) / energy);
      return known.get(m!)!;
    };
  },
  solve(problem, ranks, rounds) {
    const { layer } = problem;
    const [m] = ranks as [number];
    let v = start(problem, m);
    let q = spreadOut(layer, v, m);
    let k = fitOutput(problem, q).k;
    const { a } = splitColumns([layer.inputs, sizeOfKernel(layer)], [1]);
    for (let round = 0; round < rounds; round++) {
      const component = (r: number) => ({
        at: Int32Array.of(Math.floor(r / m) * a.length),
        k: matrix(
          k.rows,
          1,
          k.data.filter((_, i) => i % k.cols === r),
        ),
      });
      v = refine(problem, v, a, multiply(k, q), component);
      q = spreadOut(layer, v, m);
      k = fitOutput(problem, q).k;
    }
    const weight = multiply(k, q);
    balance(v, k);
    return { stages: fill(this.stages(layer, ranks), [v, k]), weight };
  },
};

/** [(c m) k]: the first m kernels that every channel's weights are made of. */
function start({ layer, best }: Problem, m: number): Matrix {
  const size = sizeOfKernel(layer);
  const v = matrix(layer.inputs * m, size);
  for (let c = 0; c < layer.inputs; c++) {
    const own = matrix(layer.outputs, size);
    for (let o = 0; o < layer.outputs; o++) rowOf(own, o).set(rowOf(best, o).subarray(c * size, (c + 1) * size));
    const { vectors } = eigenSymmetric(gram(transpose(own)));
    for (let i = 0; i < m; i++) rowOf(v, c * m + i).set(rowOf(vectors, i));
  }
  return v;
}

/** [(c m) k] -> [(c m), (c k)]: each kernel on its channel. */
function spreadOut(layer: LinearLayer, v: Matrix, m: number): Matrix {
  const out = matrix(v.rows, layer.weight.cols);
  for (let r = 0; r < v.rows; r++) rowOf(out, r).set(rowOf(v, r), Math.floor(r / m) * v.cols);
  return out;
}

/**
 * The separable convolution of Xception (Chollet 2017) and MobileNet (Howard et al. 2017) in place of a trained one: kernels start as the first
 * singular vectors of each channel's weights, then 1 x 1 weights and kernels are least-squares fits to the layer's answers in turn.
 * Differs from the papers: m kernels per channel (1 by default); nothing between the two convolutions.
 */
export const depthwiseSeparable = lowRank(
  separableFactorizer,
  "Howard et al.: MobileNets, 2017 (1704.04861), fitted as in Guo, Li, Ma, Wang, Li: Network Decoupling, 2018 (1808.05517)",
);
