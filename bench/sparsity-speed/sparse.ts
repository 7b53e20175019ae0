/** A layer's weights and a sparsity come in; out, a plain CSR product of our own in JavaScript: per kept weight one pass along the positions. */
export interface Csr {
  readonly rows: number;
  readonly start: Int32Array;
  readonly column: Int32Array;
  readonly value: Float32Array;
}

/** The `kept` share of a dense [rows, columns] matrix with the largest magnitudes. */
export function csr(dense: Float32Array, rows: number, kept: number): Csr {
  const columns = dense.length / rows;
  const order = [...dense.keys()].sort((a, b) => Math.abs(dense[b]!) - Math.abs(dense[a]!));
  const alive = new Uint8Array(dense.length);
  for (const i of order.slice(0, Math.round(kept * dense.length))) alive[i] = 1;
  const start = new Int32Array(rows + 1);
  const column: number[] = [];
  const value: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++)
      if (alive[r * columns + c]) {
        column.push(c);
        value.push(dense[r * columns + c]!);
      }
    start[r + 1] = column.length;
  }
  return { rows, start, column: Int32Array.from(column), value: Float32Array.from(value) };
}

/** y[rows, n] = weights x[columns, n]; a row of y stays in the first cache while its weights go by. */
export function multiply({ rows, start, column, value }: Csr, x: Float32Array, n: number, y: Float32Array): void {
  for (let r = 0; r < rows; r++) {
    const to = r * n;
    y.fill(0, to, to + n);
    let k = start[r]!;
    // Four weights at a time: a quarter of the reading and writing of y.
    const end = start[r + 1]!;
    for (; k + 4 <= end; k += 4) addFour(y, to, n, x, column, value, k);
    for (; k < end; k++) addOne(y, to, n, x, column[k]! * n, value[k]!);
  }
}
function addOne(y: Float32Array, to: number, n: number, x: Float32Array, p: number, a: number): void {
  for (let i = 0; i < n; i++) y[to + i]! += a * x[p + i]!;
}
function addFour(
  y: Float32Array,
  to: number,
  n: number,
  x: Float32Array,
  column: Int32Array,
  value: Float32Array,
  k: number,
): void {
  const a = value[k]!;
  const b = value[k + 1]!;
  const c = value[k + 2]!;
  const d = value[k + 3]!;
  const p = column[k]! * n;
  const q = column[k + 1]! * n;
  const s = column[k + 2]! * n;
  const t = column[k + 3]! * n;
  for (let i = 0; i < n; i++) y[to + i] = y[to + i]! + a * x[p + i]! + b * x[q + i]! + c * x[s + i]! + d * x[t + i]!;
}

/** The patches of a 3 x 3 convolution with padding 1: x [c, h, w] -> [c 9, h w]. */
export function unfold(x: Float32Array, c: number, h: number, w: number, out: Float32Array): void {
  out.fill(0);
  for (let k = 0; k < c * 9; k++) {
    const [channel, dy, dx] = [Math.floor(k / 9), (Math.floor(k / 3) % 3) - 1, (k % 3) - 1];
    const [left, right] = [Math.max(0, -dx), Math.min(w, w - dx)];
    for (let y = Math.max(0, -dy); y < Math.min(h, h - dy); y++) {
      const from = (channel * h + y + dy) * w + dx;
      out.set(x.subarray(from + left, from + right), (k * h + y) * w + left);
    }
  }
}
