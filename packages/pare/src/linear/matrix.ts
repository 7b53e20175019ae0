/** Dense float64 matrices, row-major: two enter, their product leaves. */

export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  /** [rows cols] */
  readonly data: Float64Array;
}

/** A matrix over `data` (shared), or of zeros. */
export const matrix = (rows: number, cols: number, data = new Float64Array(rows * cols)): Matrix => ({
  rows,
  cols,
  data,
});

export const rowOf = (a: Matrix, i: number): Float64Array => a.data.subarray(i * a.cols, (i + 1) * a.cols);

export function transpose(a: Matrix): Matrix {
  const out = matrix(a.cols, a.rows);
  for (let i = 0; i < a.rows; i++) for (let j = 0; j < a.cols; j++) out.data[j * a.rows + i] = a.data[i * a.cols + j]!;
  return out;
}

/** to += factor x from, element by element. */
export function addScaled(to: Float64Array, factor: number, from: Float64Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * from[i]!;
}

export const dot = (a: Float64Array, b: Float64Array): number => dotAt(a, 0, b, 0, a.length);

/** Of `n` elements of `a` from `i` on and of `b` from `j` on. Sums are kept apart: one alone would wait for each addition. */
export function dotAt(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let [p, q, r, s] = [0, 0, 0, 0];
  let k = 0;
  for (; k + 3 < n; k += 4) {
    p += a[i + k]! * b[j + k]!;
    q += a[i + k + 1]! * b[j + k + 1]!;
    r += a[i + k + 2]! * b[j + k + 2]!;
    s += a[i + k + 3]! * b[j + k + 3]!;
  }
  for (; k < n; k++) p += a[i + k]! * b[j + k]!;
  return p + q + (r + s);
}

/** to [m] = a [m n] times v [n]; four rows at a time, so that v is read once for them. */
export function timesVector({ data: a, rows, cols }: Matrix, v: Float64Array, to: Float64Array): void {
  let i = 0;
  for (; i + 3 < rows; i += 4) {
    const [d, e, f, g] = [i * cols, (i + 1) * cols, (i + 2) * cols, (i + 3) * cols];
    let [p, q, r, s] = [0, 0, 0, 0];
    for (let j = 0; j < cols; j++) {
      const x = v[j]!;
      p += a[d + j]! * x;
      q += a[e + j]! * x;
      r += a[f + j]! * x;
      s += a[g + j]! * x;
    }
    to[i] = p;
    to[i + 1] = q;
    to[i + 2] = r;
    to[i + 3] = s;
  }
  for (; i < rows; i++) to[i] = dotAt(a, i * cols, v, 0, cols);
}

/** a [m k] times b [k n]. Zeros of `a` cost nothing. */
export function multiply(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, b.cols);
  for (let i = 0; i < a.rows; i++) {
    const row = rowOf(out, i);
    for (let k = 0; k < a.cols; k++) {
      const factor = a.data[i * a.cols + k]!;
      if (factor !== 0) addScaled(row, factor, rowOf(b, k));
    }
  }
  return out;
}

/** a [m k] times b [n k] transposed. */
export function multiplyTransposed(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, b.rows);
  for (let i = 0; i < a.rows; i++) {
    const row = rowOf(a, i);
    for (let j = 0; j < b.rows; j++) out.data[i * b.rows + j] = dot(row, rowOf(b, j));
  }
  return out;
}

/** a [m k] times its own transpose: symmetric [m m]. */
export function gram(a: Matrix): Matrix {
  const out = matrix(a.rows, a.rows);
  for (let i = 0; i < a.rows; i++)
    for (let j = 0; j <= i; j++) {
      const value = dot(rowOf(a, i), rowOf(a, j));
      out.data[i * a.rows + j] = value;
      out.data[j * a.rows + i] = value;
    }
  return out;
}

/** The first `count` rows. */
export const firstRows = (a: Matrix, count: number): Matrix => matrix(count, a.cols, a.data.slice(0, count * a.cols));
