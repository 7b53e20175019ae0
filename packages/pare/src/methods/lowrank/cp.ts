/** A convolution as a sum of r products of one input, one kernel and one output vector: 1 x 1 to r channels, k x k on each alone, 1 x 1 back. */
import { fitOutput, refine, type Split, splitColumns } from "../../linear/approximate.js";
import { eigenSymmetric } from "../../linear/eigen.js";
import { allAxes, type Factorizer, fill, needsKernel } from "../../linear/factorizer.js";
import type { LinearLayer } from "../../linear/layers.js";
import { gram, type Matrix, matrix, multiply, rowOf, transpose } from "../../linear/matrix.js";
import { distance, energyOf, type Problem } from "../../linear/problem.js";
import { lowRank } from "../low-rank.js";

interface Factors {
  /** [r c] */
  into: Matrix;
  /** [r k] */
  kernel: Matrix;
  /** [o r] */
  out: Matrix;
}
const dimsOf = (l: LinearLayer) => [l.inputs, l.weight.cols / l.inputs];

export const cpFactorizer: Factorizer = {
  id: "cp",
  refuses: needsKernel,
  full: (l) => [Math.min(l.inputs, l.outputs) * (l.weight.cols / l.inputs)],
  stages: (l, [r]) => [
    { inputs: l.inputs, outputs: r!, group: 1, slides: [] },
    { inputs: r!, outputs: r!, group: r!, slides: allAxes(l) },
    { inputs: r!, outputs: l.outputs, group: 1, slides: [] },
  ],
  unfoldings: () => null,
  /** The start's own error, without what alternating gains: about half in practice. */
  foresee(problem) {
    const energy = energyOf(problem);
    const known = new Map<number, number>();
    return ([r]) => {
      if (!known.has(r!)) known.set(r!, distance(problem, weightOf(start(problem, r!))) / energy);
      return known.get(r!)! / 2;
    };
  },
  solve(problem, ranks, rounds) {
    const f = start(problem, ranks[0]!);
    for (let round = 0; round < rounds; round++) alternate(problem, f);
    const weight = weightOf(f);
    share(f);
    return { stages: fill(this.stages(problem.layer, ranks), [f.into, f.kernel, f.out]), weight };
  },
};

/** Each element of the kernel is a matrix [o c] of its own: the r largest of their singular triples. */
function start(problem: Problem, rank: number): Factors {
  const { layer, best } = problem;
  const [c, size] = dimsOf(layer) as [number, number];
  const triples: { energy: number; element: number; direction: Float64Array }[] = [];
  for (let e = 0; e < size; e++) {
    const slice = matrix(c, layer.outputs);
    for (let i = 0; i < c; i++)
      for (let o = 0; o < layer.outputs; o++)
        slice.data[i * layer.outputs + o] = best.data[o * best.cols + i * size + e]!;
    const { values, vectors } = eigenSymmetric(gram(slice));
    for (let i = 0; i < Math.min(c, layer.outputs); i++)
      triples.push({ energy: values[i]!, element: e, direction: rowOf(vectors, i) });
  }
  triples.sort((x, y) => y.energy - x.energy);
  const f: Factors = { into: matrix(rank, c), kernel: matrix(rank, size), out: matrix(layer.outputs, rank) };
  triples.slice(0, rank).forEach(({ element, direction }, r) => {
    rowOf(f.into, r).set(direction);
    f.kernel.data[r * size + element] = 1;
  });
  f.out = fitOutput(problem, inputsOf(f)).k;
  return f;
}

/** Q [r, c k]: what each component sees. */
function inputsOf({ into, kernel }: Factors): Matrix {
  const out = matrix(into.rows, into.cols * kernel.cols);
  for (let r = 0; r < into.rows; r++)
    for (let i = 0; i < into.cols; i++)
      for (let e = 0; e < kernel.cols; e++)
        out.data[r * out.cols + i * kernel.cols + e] =
          into.data[r * into.cols + i]! * kernel.data[r * kernel.cols + e]!;
  return out;
}
const weightOf = (f: Factors): Matrix => multiply(f.out, inputsOf(f));

/** One round: input vectors, kernels, then all output vectors at once. Input vectors and kernels have length 1. */
function alternate(problem: Problem, f: Factors): void {
  const dims = dimsOf(problem.layer);
  const column = (r: number): Matrix =>
    transpose(
      matrix(
        1,
        f.out.rows,
        f.out.data.filter((_, i) => i % f.out.cols === r),
      ),
    );
  const step = (v: Matrix, other: Matrix, { a, b }: Split): Matrix =>
    unit(
      refine(problem, v, a, weightOf(f), (r) => ({
        at: b,
        k: multiply(column(r), matrix(1, b.length, rowOf(other, r).slice())),
      })),
    );
  f.into = step(f.into, f.kernel, splitColumns(dims, [0]));
  f.out = fitOutput(problem, inputsOf(f)).k;
  f.kernel = step(f.kernel, f.into, splitColumns(dims, [1]));
  f.out = fitOutput(problem, inputsOf(f)).k;
}
/** The length of every output vector goes to all three in equal parts. */
function share({ into, kernel, out }: Factors): void {
  for (let r = 0; r < into.rows; r++) {
    let square = 0;
    for (let o = 0; o < out.rows; o++) square += out.data[o * out.cols + r]! ** 2;
    const part = Math.cbrt(Math.sqrt(square));
    if (part === 0) continue;
    for (const v of [rowOf(into, r), rowOf(kernel, r)]) for (let i = 0; i < v.length; i++) v[i]! *= part;
    for (let o = 0; o < out.rows; o++) out.data[o * out.cols + r]! /= part * part;
  }
}
function unit(v: Matrix): Matrix {
  for (let r = 0; r < v.rows; r++) {
    const row = rowOf(v, r);
    const length = Math.hypot(...row);
    if (length > 0) for (let i = 0; i < row.length; i++) row[i]! /= length;
  }
  return v;
}

/**
 * Lebedev et al. 2015, by alternating least squares. A sum of products has no best approximation where two may cancel ever more closely: vectors
 * are held at length 1 and output vectors fitted together under a small ridge.
 * Differs from the paper: the kernel's axes are one mode (k x k on each channel, for k x 1 and 1 x k), which is one layer fewer and fits better;
 * alternating instead of nonlinear least squares, started from the singular vectors of the kernel's elements.
 */
export const cp = lowRank(
  cpFactorizer,
  "Lebedev, Ganin, Rakhuba, Oseledets, Lempitsky: Speeding-up Convolutional Neural Networks Using Fine-tuned CP-Decomposition, 2015 (1412.6553)",
);
