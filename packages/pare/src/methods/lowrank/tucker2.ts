/** A convolution k x k as 1 x 1 to fewer channels, k x k among these, 1 x 1 back. */
import {
  balance,
  columnsOf,
  fitOutput,
  inputBasis,
  outputBasis,
  refine,
  splitColumns,
  spreadOver,
  unfold,
} from "../../linear/approximate.js";
import { allAxes, type Factorizer, fill, needsKernel, tail } from "../../linear/factorizer.js";
import type { LinearLayer } from "../../linear/layers.js";
import { firstRows, type Matrix, multiply, transpose } from "../../linear/matrix.js";
import type { Problem } from "../../linear/problem.js";
import { lowRank } from "../low-rank.js";

const splitOf = (l: LinearLayer) => splitColumns([l.inputs, ...l.kernel], [0]);

export const tucker2Factorizer: Factorizer = {
  id: "tucker2",
  refuses: needsKernel,
  full: (l) => [l.inputs, l.outputs],
  stages: (l, [into, out]) => [
    ...(into! < l.inputs ? [{ inputs: l.inputs, outputs: into!, group: 1, slides: [] }] : []),
    { inputs: into!, outputs: out!, group: 1, slides: allAxes(l) },
    ...(out! < l.outputs ? [{ inputs: out!, outputs: l.outputs, group: 1, slides: [] }] : []),
  ],
  unfoldings: (l) => [unfold(l.weight, splitOf(l)), l.weight],
  /** The sum of what each side loses alone bounds the error (De Lathauwer et al. 2000). */
  foresee(problem) {
    const into = tail(inputBasis(problem, splitOf(problem.layer)).values);
    const out = tail(outputBasis(problem.best, problem.metric).values);
    return ([r, s]) => Math.min(1, into(r!) + out(s!));
  },
  solve(problem, ranks, rounds) {
    const { layer } = problem;
    const split = splitOf(layer);
    const [into, out] = ranks as [number, number];
    let v = firstRows(into < layer.inputs ? inputBasis(problem, split).rows : identity(layer.inputs), into);
    let q = spreadOver(v, split);
    let { core, back } = inner(problem, q, out);
    const turns = into < layer.inputs ? rounds : 0;
    for (let round = 0; round < turns; round++) {
      const k = multiply(back, core);
      const component = (r: number) => ({ at: split.b, k: columnsOf(k, r, split.b.length) });
      v = refine(problem, v, split.a, multiply(k, q), component);
      q = spreadOver(v, split);
      ({ core, back } = inner(problem, q, out));
    }
    const weight = multiply(multiply(back, core), q);
    const first = into < layer.inputs ? [v] : [];
    if (first.length) balance(v, core);
    if (out < layer.outputs) balance(core, back);
    const last = out < layer.outputs ? [back] : [];
    const middle = last.length ? core : multiply(back, core);
    return { stages: fill(this.stages(layer, ranks), [...first, middle, ...last]), weight };
  },
};

/** The best core [s r k] and way back [o s] behind the inputs q: the answers' directions, for the best weight that q allows. */
function inner(problem: Problem, q: Matrix, rank: number): { core: Matrix; back: Matrix } {
  const { k, moments } = fitOutput(problem, q);
  const basis = firstRows(outputBasis(k, moments).rows, rank);
  return { core: multiply(basis, k), back: transpose(basis) };
}
function identity(n: number): Matrix {
  return { rows: n, cols: n, data: Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)) };
}

/**
 * Kim et al. 2016: Tucker decomposition along input and output channels. HOSVD starts, alternating least squares (their HOOI) goes on, with the
 * inputs' second moments as the metric where there is data. A side of full rank has no 1 x 1 convolution.
 * Differs from the paper: ranks by VBMF are one choice of three (`ranks`); the other two meet a target or keep a share of the energy.
 */
export const tucker2 = lowRank(
  tucker2Factorizer,
  "Kim, Park, Yoo, Choi, Yang, Shin: Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications, 2016 (1511.06530)",
);
