/** What a coder will charge for a tensor's symbols, before it runs: indices of shared values -> bits per element and symbol. */

/** A tensor as the matrix a coder walks: rows x columns (the first axis against the rest). */
export interface Layout {
  readonly rows: number;
  readonly columns: number;
}
export const layoutOf = (dims: readonly number[]): Layout => {
  const rows = dims[0] ?? 1;
  return { rows, columns: dims.slice(1).reduce((p, d) => p * d, 1) };
};

export interface Rates {
  /** Bits for "this element is zero" and "this element is not". */
  zero(i: number): number;
  nonzero(i: number): number;
  /** Bits for symbol k >= 1, given that the element is not zero. */
  readonly symbol: Float64Array;
}

/**
 * An adaptive coder learns which rows and columns are dead: P(alive at i, j) = row density x column density / density, with the counts smoothed
 * as such a coder would have to. Symbol k costs its entropy among the survivors.
 */
export function ratesOf(indices: Uint32Array, symbols: number, { rows, columns }: Layout): Rates {
  const alive = [new Float64Array(rows), new Float64Array(columns)] as const;
  const counts = new Float64Array(symbols);
  indices.forEach((k, i) => {
    counts[k]!++;
    if (k === 0) return;
    alive[0][Math.floor(i / columns)]!++;
    alive[1][i % columns]!++;
  });
  const survivors = indices.length - counts[0]!;
  const density = (survivors + 0.5) / (indices.length + 1);
  // One observation of the tensor's own density: a row of its own must pay for being learned.
  const smooth = (n: Float64Array, length: number): Float64Array => n.map((c) => (c + density) / (length + 1));
  const [row, column] = [smooth(alive[0], columns), smooth(alive[1], rows)];
  const p = (i: number): number =>
    Math.min(0.999, Math.max(1e-5, (row[Math.floor(i / columns)]! * column[i % columns]!) / density));
  return {
    zero: (i) => -Math.log2(1 - p(i)),
    nonzero: (i) => -Math.log2(p(i)),
    symbol: counts.map((c) => -Math.log2((c + 0.1) / (survivors + 0.1 * (symbols - 1)))),
  };
}
