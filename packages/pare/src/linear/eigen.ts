/** A symmetric matrix enters; its eigenvalues, largest first, and eigenvectors leave (Householder, then implicit QL). */
import { PareError } from "../graph/error.js";
import { addScaled, dot, type Matrix, matrix, rowOf } from "./matrix.js";

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array;
  /** Row i is the eigenvector of value i, of length 1. */
  readonly vectors: Matrix;
}

/** a [n n] = vectors^T diag(values) vectors; only symmetric `a`. About 6 n^3 operations. */
export function eigenSymmetric(a: Matrix): Eigen {
  const n = a.rows;
  const { diagonal, beside, basis } = tridiagonal(a);
  implicitQl(diagonal, beside, basis);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => diagonal[j]! - diagonal[i]!);
  const vectors = matrix(n, n);
  order.forEach((from, to) => {
    rowOf(vectors, to).set(rowOf(basis, from));
  });
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors };
}

/** basis a basis^T is tridiagonal; beside[i] stands between diagonal[i] and diagonal[i + 1]. */
function tridiagonal(a: Matrix): { diagonal: Float64Array; beside: Float64Array; basis: Matrix } {
  const n = a.rows;
  const t = matrix(n, n, a.data.slice());
  const mirrors: { at: number; v: Float64Array; beta: number }[] = [];
  for (let k = 0; k < n - 2; k++) {
    const v = t.data.slice(k * n + k + 1, (k + 1) * n);
    const norm = Math.sqrt(dot(v, v));
    if (norm === 0) continue;
    const alpha = v[0]! > 0 ? -norm : norm;
    v[0]! -= alpha;
    const beta = 2 / dot(v, v);
    mirrors.push({ at: k + 1, v, beta });
    reflectBothSides(t, k + 1, v, beta);
    t.data[k * n + k + 1] = alpha;
  }
  const basis = matrix(n, n);
  for (let i = 0; i < n; i++) basis.data[i * n + i] = 1;
  // Rows of the basis: H_last ... H_0 applied from the right of the identity, last first, so that early rows stay short.
  for (const { at, v, beta } of mirrors.reverse())
    for (let i = at; i < n; i++) {
      const part = basis.data.subarray(i * n + at, (i + 1) * n);
      addScaled(part, -beta * dot(part, v), v);
    }
  return {
    diagonal: Float64Array.from({ length: n }, (_, i) => t.data[i * n + i]!),
    beside: Float64Array.from({ length: n }, (_, i) => (i + 1 < n ? t.data[i * n + i + 1]! : 0)),
    basis,
  };
}

/** t := H t H on the rows and columns from `at` on, H = I - beta v v^T. */
function reflectBothSides(t: Matrix, at: number, v: Float64Array, beta: number): void {
  const n = t.rows;
  const p = Float64Array.from(v, (_, i) => beta * dot(t.data.subarray((at + i) * n + at, (at + i + 1) * n), v));
  addScaled(p, (-beta / 2) * dot(v, p), v);
  for (let i = 0; i < v.length; i++) {
    const row = t.data.subarray((at + i) * n + at, (at + i + 1) * n);
    addScaled(row, -v[i]!, p);
    addScaled(row, -p[i]!, v);
  }
}

/** Golub & Van Loan, 8.3.3: `d` becomes the eigenvalues, rows of `z` are turned with them. */
function implicitQl(d: Float64Array, e: Float64Array, z: Matrix): void {
  const n = d.length;
  // Relative to the whole matrix: what is zero but for rounding would never settle by its own measure.
  const nothing = Number.EPSILON * Math.max(...d.map((v, i) => Math.abs(v) + Math.abs(e[i]!)), 0);
  for (let l = 0; l < n; l++) {
    for (let round = 0; ; round++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > nothing) m++;
      if (m === l) break;
      if (round === 60) throw new PareError(`the eigenvalues of a ${n} x ${n} matrix did not settle: is it finite?`);
      qlStep(d, e, z, l, m);
    }
  }
}

/** One implicit shift on the block l..m. */
function qlStep(d: Float64Array, e: Float64Array, z: Matrix, l: number, m: number): void {
  const slope = (d[l + 1]! - d[l]!) / (2 * e[l]!);
  const root = Math.hypot(slope, 1);
  let g = d[m]! - d[l]! + e[l]! / (slope + (slope < 0 ? -root : root));
  let [s, c, p] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const [f, b] = [s * e[i]!, c * e[i]!];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1]! -= p;
      e[m] = 0;
      return;
    }
    [s, c] = [f / r, g / r];
    g = d[i + 1]! - p;
    const t = (d[i]! - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    turn(rowOf(z, i), rowOf(z, i + 1), c, s);
  }
  d[l]! -= p;
  e[l] = g;
  e[m] = 0;
}

/** (a, b) := (c a - s b, s a + c b). */
function turn(a: Float64Array, b: Float64Array, c: number, s: number): void {
  for (let k = 0; k < a.length; k++) {
    const x = a[k]!;
    const y = b[k]!;
    a[k] = c * x - s * y;
    b[k] = s * x + c * y;
  }
}
