/** Symmetric positive definite matrices: a matrix enters, its triangle leaves; linear systems are solved with it. */
import { PareError } from "../graph/error.js";
import { dot, dotAt, type Matrix, matrix, rowOf } from "./matrix.js";

/** L [n n], lower, with a = L L^T. Throws PareError where `a` is not positive definite. */
export function cholesky(a: Matrix): Matrix {
  const n = a.rows;
  const out = matrix(n, n);
  const l = out.data;
  for (let top = 0; top < n; top += 4) {
    const below = Math.min(top + 4, n);
    const block = below - top === 4 ? top : 0;
    if (block > 0) fourRows(a.data, l, n, top);
    for (let i = top; i < below; i++) {
      for (let j = block; j < i; j++)
        l[i * n + j] = (a.data[i * n + j]! - dotAt(l, i * n, l, j * n, j)) / l[j * n + j]!;
      const rest = a.data[i * n + i]! - dotAt(l, i * n, l, i * n, i);
      if (!(rest > 0))
        throw new PareError(
          `a ${n} x ${n} matrix is not positive definite at row ${i}: give more samples, or a larger ridge`,
        );
      l[i * n + i] = Math.sqrt(rest);
    }
  }
  return out;
}

/** Rows top to top + 3 of L left of their diagonal block, four by two elements at a time: one at a time would wait for memory. */
function fourRows(a: Float64Array, l: Float64Array, n: number, top: number): void {
  const [p, q, r, s] = [top * n, (top + 1) * n, (top + 2) * n, (top + 3) * n];
  for (let j = 0; j < top; j += 2) {
    const [c, d] = [j * n, (j + 1) * n];
    let [pc, qc, rc, sc, pd, qd, rd, sd] = [a[p + j]!, a[q + j]!, a[r + j]!, a[s + j]!, 0, 0, 0, 0];
    for (let m = 0; m < j; m++) {
      const [x, y] = [l[c + m]!, l[d + m]!];
      const [e, f, g, h] = [l[p + m]!, l[q + m]!, l[r + m]!, l[s + m]!];
      pc -= e * x;
      qc -= f * x;
      rc -= g * x;
      sc -= h * x;
      pd += e * y;
      qd += f * y;
      rd += g * y;
      sd += h * y;
    }
    const [first, second, across] = [1 / l[c + j]!, 1 / l[d + j + 1]!, l[d + j]!];
    l[p + j] = pc * first;
    l[q + j] = qc * first;
    l[r + j] = rc * first;
    l[s + j] = sc * first;
    l[p + j + 1] = (a[p + j + 1]! - pd - l[p + j]! * across) * second;
    l[q + j + 1] = (a[q + j + 1]! - qd - l[q + j]! * across) * second;
    l[r + j + 1] = (a[r + j + 1]! - rd - l[r + j]! * across) * second;
    l[s + j + 1] = (a[s + j + 1]! - sd - l[s + j]! * across) * second;
  }
}

/** U [n n], upper, with U^T U the inverse of `a`: rows and columns in reverse, a = L L^T gives U = L^-1 in reverse. Throws as `cholesky` does. */
export function inverseFactor(a: Matrix): Matrix {
  const n = a.rows;
  const l = cholesky(matrix(n, n, a.data.slice().reverse())).data;
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    let j = 0;
    // Four rows of the inverse at a time: this one's is then read and written once for them.
    for (; j + 3 < i; j += 4) {
      const [p, q, r, s] = [j * n, (j + 1) * n, (j + 2) * n, (j + 3) * n];
      const [e, f, g, h] = [l[row + j]!, l[row + j + 1]!, l[row + j + 2]!, l[row + j + 3]!];
      // Right of their diagonals these rows are zero.
      for (let m = 0; m < j + 4; m++)
        inverse[row + m]! -= e * inverse[p + m]! + f * inverse[q + m]! + g * inverse[r + m]! + h * inverse[s + m]!;
    }
    for (; j < i; j++) {
      const factor = l[row + j]!;
      for (let m = 0; m <= j; m++) inverse[row + m]! -= factor * inverse[j * n + m]!;
    }
    inverse[i * n + i] = 1;
    for (let m = 0; m <= i; m++) inverse[i * n + m]! /= l[i * n + i]!;
  }
  return matrix(n, n, inverse.reverse());
}

/** X [m n] with X a = b, a = L L^T: every row of b [m n] is a right-hand side. */
export function solveRows(l: Matrix, b: Matrix): Matrix {
  const n = l.rows;
  const x = matrix(b.rows, n, b.data.slice());
  for (let r = 0; r < b.rows; r++) {
    const row = rowOf(x, r);
    for (let i = 0; i < n; i++)
      row[i] = (row[i]! - dot(l.data.subarray(i * n, i * n + i), row.subarray(0, i))) / l.data[i * n + i]!;
    solveUpper(l, row);
  }
  return x;
}

/** x with L^T x = y, in the place of y. */
function solveUpper(l: Matrix, y: Float64Array): void {
  const n = l.rows;
  for (let i = n - 1; i >= 0; i--) {
    const value = y[i]! / l.data[i * n + i]!;
    y[i] = value;
    const row = rowOf(l, i);
    for (let j = 0; j < i; j++) y[j]! -= value * row[j]!;
  }
}

/** X [m n] with X L = b, row by row. */
export function solveLower(l: Matrix, b: Matrix): Matrix {
  const x = matrix(b.rows, l.rows, b.data.slice());
  for (let r = 0; r < b.rows; r++) solveUpper(l, rowOf(x, r));
  return x;
}

/** a with `share` of its mean diagonal added to the diagonal; what is all zero gets ones. */
export function ridged(a: Matrix, share: number): Matrix {
  const out = matrix(a.rows, a.cols, a.data.slice());
  let trace = 0;
  for (let i = 0; i < a.rows; i++) trace += a.data[i * a.cols + i]!;
  const add = trace > 0 ? (share * trace) / a.rows : 1;
  for (let i = 0; i < a.rows; i++) out.data[i * a.cols + i]! += add;
  return out;
}

/** What `ridged` gives and its triangle, the share raised tenfold until rounding leaves it positive definite. Throws where nothing helps. */
export function definite(a: Matrix, share: number): { readonly matrix: Matrix; readonly triangle: Matrix } {
  for (let now = share; ; now *= 10) {
    const raised = ridged(a, now);
    try {
      return { matrix: raised, triangle: cholesky(raised) };
    } catch (error) {
      if (now > 1) throw error;
    }
  }
}
