/** Parts of a factorised weight, each the best while the others are held: a problem enters, factors leave. */
import { definite, solveLower, solveRows } from "./cholesky.js";
import { eigenSymmetric } from "./eigen.js";
import { addScaled, dot, gram, type Matrix, matrix, multiply, multiplyTransposed, rowOf, transpose } from "./matrix.js";
import { measured, type Problem } from "./problem.js";

/** Keeps factors from growing against one another (CP has no best approximation where they may) and systems solvable. */
const tiny = 1e-9;

/** The axes c k... of a weight's columns in two sets: column a + b belongs to element a of the one and b of the other. */
export interface Split {
  readonly a: Int32Array;
  readonly b: Int32Array;
}
/** `chosen`: axes of [c, k...] that make up a; the others make up b. */
export function splitColumns(dims: readonly number[], chosen: readonly number[]): Split {
  const offsets = (axes: readonly number[]): Int32Array => {
    let list = [0];
    for (const d of axes) {
      const stride = dims.slice(d + 1).reduce((p, n) => p * n, 1);
      list = list.flatMap((from) => Array.from({ length: dims[d]! }, (_, i) => from + i * stride));
    }
    return Int32Array.from(list);
  };
  const all = dims.map((_, d) => d);
  return { a: offsets(chosen), b: offsets(all.filter((d) => !chosen.includes(d))) };
}

export interface Basis {
  /** Energy of each row, descending. */
  readonly values: Float64Array;
  readonly rows: Matrix;
}

/**
 * Orthonormal directions of the answers [o o]: projecting on the first r is the best weight of rank r (Zhang et al. 2015, eq. 5). Rows beyond the
 * rank may be zero.
 */
export function outputBasis(weight: Matrix, metric: Matrix | null): Basis {
  if (weight.rows <= weight.cols) {
    const { values, vectors } = eigenSymmetric(multiplyTransposed(weight, measured(weight, metric)));
    return { values: values.map((v) => Math.max(0, v)), rows: vectors };
  }
  // The smaller side: with M = W L, metric = L L^T, eigenvectors v of M^T M give directions M v.
  const root = metric ? multiply(weight, definite(metric, tiny).triangle) : weight;
  const { values, vectors } = eigenSymmetric(gram(transpose(root)));
  const rows = matrix(weight.rows, weight.rows);
  rows.data.set(multiplyTransposed(vectors, root).data);
  const energies = new Float64Array(weight.rows);
  for (let i = 0; i < weight.cols; i++) {
    const row = rowOf(rows, i);
    const seen = values[i]! > 1e-13 * values[0]!;
    const scale = seen ? 1 / Math.sqrt(dot(row, row)) : 0;
    for (let o = 0; o < row.length; o++) row[o]! *= scale;
    if (seen) energies[i] = values[i]!;
  }
  return { values: energies, rows };
}

/** [|a|, o |b|] of a weight [o n]. */
export function unfold(weight: Matrix, { a, b }: Split): Matrix {
  const out = matrix(a.length, weight.rows * b.length);
  for (let i = 0; i < a.length; i++)
    for (let o = 0; o < weight.rows; o++)
      for (let j = 0; j < b.length; j++)
        out.data[i * out.cols + o * b.length + j] = weight.data[o * weight.cols + a[i]! + b[j]!]!;
  return out;
}

/**
 * Directions of the input over the axes a, the same for every b: rows V [|a| |a|] such that the best weight of the form sum_r K_r[o, b] V[r, a]
 * has the first R of them, where the metric is the same for every b and does not mix them; where it does, a start.
 */
export function inputBasis({ best, metric }: Problem, { a, b }: Split): Basis {
  const unfolded = unfold(best, { a, b });
  if (!metric) {
    const { values, vectors } = eigenSymmetric(gram(unfolded));
    return { values: values.map((v) => Math.max(0, v)), rows: vectors };
  }
  const shared = matrix(a.length, a.length);
  for (let i = 0; i < a.length; i++)
    for (let k = 0; k < a.length; k++)
      for (const j of b)
        shared.data[i * a.length + k]! += metric.data[(a[i]! + j) * metric.cols + a[k]! + j]! / b.length;
  const l = definite(shared, tiny).triangle;
  const { values, vectors } = eigenSymmetric(gram(multiply(transpose(l), unfolded)));
  return { values: values.map((v) => Math.max(0, v)), rows: solveLower(l, vectors) };
}

/** V [R |a|] -> [(R |b|) n]: every direction at every b. */
export function spreadOver(v: Matrix, { a, b }: Split): Matrix {
  const out = matrix(v.rows * b.length, a.length * b.length);
  for (let r = 0; r < v.rows; r++)
    for (let j = 0; j < b.length; j++)
      for (let i = 0; i < a.length; i++)
        out.data[(r * b.length + j) * out.cols + a[i]! + b[j]!] = v.data[r * a.length + i]!;
  return out;
}

/** K [o q] for which K Q, Q [q n], comes closest; and Q metric Q^T. */
export function fitOutput({ cross, metric }: Problem, q: Matrix): { readonly k: Matrix; readonly moments: Matrix } {
  const { matrix: moments, triangle } = definite(multiplyTransposed(measured(q, metric), q), tiny);
  return { k: solveRows(triangle, multiplyTransposed(cross, q)), moments };
}

/** What component r of the weight does with its direction: weight[o, a + b] += k[o, j] v[r, a] for b = at[j]. */
export interface Component {
  readonly at: Int32Array;
  /** [o at] */
  readonly k: Matrix;
}

/** One round through the rows of V [R |a|], each replaced by the best for what all others leave over: the distance never grows. */
export function refine(
  problem: Problem,
  v: Matrix,
  a: Int32Array,
  weight: Matrix,
  component: (r: number) => Component,
): Matrix {
  const { metric, cross } = problem;
  const out = matrix(v.rows, v.cols, v.data.slice());
  const rest = matrix(cross.rows, cross.cols, cross.data.slice());
  addScaled(rest.data, -1, measured(weight, metric).data);
  for (let r = 0; r < v.rows; r++) {
    const { at, k } = component(r);
    const own = rowOf(out, r);
    const normal = normalMatrix(metric, a, at, multiply(transpose(k), k));
    const gradient = new Float64Array(a.length);
    for (let o = 0; o < k.rows; o++) {
      const row = rowOf(rest, o);
      for (let j = 0; j < at.length; j++) {
        const factor = k.data[o * at.length + j]!;
        for (let i = 0; i < a.length; i++) gradient[i]! += factor * row[a[i]! + at[j]!]!;
      }
    }
    const step = rowOf(solveRows(definite(normal, tiny).triangle, matrix(1, a.length, gradient)), 0);
    addScaled(own, 1, step);
    takeAway(rest, metric, a, at, k, step);
  }
  return out;
}

/** N[i, i'] = sum over j, j' of s[j, j'] metric[a_i + at_j, a_i' + at_j']. */
function normalMatrix(metric: Matrix | null, a: Int32Array, at: Int32Array, s: Matrix): Matrix {
  const out = matrix(a.length, a.length);
  if (!metric) {
    let trace = 0;
    for (let j = 0; j < at.length; j++) trace += s.data[j * at.length + j]!;
    for (let i = 0; i < a.length; i++) out.data[i * a.length + i] = trace;
    return out;
  }
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < at.length; j++) {
      const row = rowOf(metric, a[i]! + at[j]!);
      for (let l = 0; l < at.length; l++) {
        const factor = s.data[j * at.length + l]!;
        for (let m = 0; m <= i; m++) out.data[i * a.length + m]! += factor * row[a[m]! + at[l]!]!;
      }
    }
  for (let i = 0; i < a.length; i++)
    for (let m = 0; m < i; m++) out.data[m * a.length + i] = out.data[i * a.length + m]!;
  return out;
}

/** rest -= (k step) metric. */
function takeAway(
  rest: Matrix,
  metric: Matrix | null,
  a: Int32Array,
  at: Int32Array,
  k: Matrix,
  step: Float64Array,
): void {
  for (let j = 0; j < at.length; j++) {
    const moved = new Float64Array(rest.cols);
    for (let i = 0; i < a.length; i++) {
      if (metric) addScaled(moved, step[i]!, rowOf(metric, a[i]! + at[j]!));
      else moved[a[i]! + at[j]!]! += step[i]!;
    }
    for (let o = 0; o < k.rows; o++) addScaled(rowOf(rest, o), -k.data[o * at.length + j]!, moved);
  }
}

/** Rows of `v` and the columns of `k` that belong to them (`each` per row) scaled to equal length: neither factor starves in training. */
export function balance(v: Matrix, k: Matrix): void {
  const each = k.cols / v.rows;
  for (let r = 0; r < v.rows; r++) {
    const row = rowOf(v, r);
    let square = 0;
    for (let o = 0; o < k.rows; o++) for (let j = 0; j < each; j++) square += k.data[o * k.cols + r * each + j]! ** 2;
    const length = Math.sqrt(dot(row, row));
    if (length === 0 || square === 0) continue;
    const factor = Math.sqrt(Math.sqrt(square) / length);
    for (let i = 0; i < row.length; i++) row[i]! *= factor;
    for (let o = 0; o < k.rows; o++) for (let j = 0; j < each; j++) k.data[o * k.cols + r * each + j]! /= factor;
  }
}

/** The columns r |at|... of k that belong to component r. */
export function columnsOf(k: Matrix, r: number, count: number): Matrix {
  const out = matrix(k.rows, count);
  for (let o = 0; o < k.rows; o++)
    for (let j = 0; j < count; j++) out.data[o * count + j] = k.data[o * k.cols + r * count + j]!;
  return out;
}
