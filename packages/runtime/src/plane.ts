/** The places of a tensor's elements in its codebook: survivors first, then what each one is, row by row. */
import type { BitCoder } from "./bit-coder.js";
import type { Fields } from "./fields.js";
import { type Geometry, geometry } from "./geometry.js";
import { Significance } from "./significance.js";
import { Values } from "./values.js";

/** What one tensor tells the next: survivors of each of its rows (outputs), which are the next layer's columns. */
export class Earlier {
  readonly #layers: Float64Array[] = [];

  add(survivors: Float64Array): void {
    this.#layers.push(survivors);
  }
  copy(): Earlier {
    const copy = new Earlier();
    copy.#layers.push(...this.#layers);
    return copy;
  }
  /** Expected density of columns relative to their mean, from the latest layer whose outputs they can be; null where there is none. */
  hint(columns: number, plane: number): Float64Array | null {
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const layer = this.#layers[i]!;
      const each = columns / layer.length;
      if (layer.length < 2 || !Number.isInteger(each) || (each !== 1 && each !== plane)) continue;
      let sum = 0;
      for (let k = 0; k < layer.length; k++) sum += layer[k]!;
      const mean = sum / layer.length + 1;
      return Float64Array.from({ length: columns }, (_, c) => (layer[Math.floor(c / each)]! + 1) / mean);
    }
    return null;
  }
}

/** The two models of a tensor: who survives, and as what. `level`: `roughDensity` of it. */
export function planeOf(
  g: Geometry,
  level: number,
  count: number,
  centre: number,
  earlier: Earlier,
): { significance: Significance; symbols: Values } {
  const density = quarters[level & 3]! / (1 << (level >> 2));
  return {
    significance: new Significance(g, density, earlier.hint(g.columns, g.plane)),
    symbols: new Values(g, count, centre),
  };
}

/** Codes `indices` (entries of a codebook of `count`), in place for a reader. `centre`: the entry of pruned elements, or the most frequent one. */
export function plane(
  io: BitCoder,
  f: Fields,
  earlier: Earlier,
  indices: Uint8Array,
  dims: readonly number[],
  count: number,
  centre: number,
  given: Geometry | null,
): void {
  const g = geometry(f, dims, given);
  const { rows, columns } = g;
  const level = f.choice("density", 6, io.reading ? 0 : roughDensity(indices, centre));
  const { significance, symbols } = planeOf(g, level, count, centre, earlier);
  const survivors = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    significance.nextRow();
    symbols.nextRow();
    for (let c = 0; c < columns; c++) {
      const i = g.transposed ? c * rows + r : r * columns + c;
      const entry = indices[i]!;
      if (!significance.code(io, c, entry !== centre ? 1 : 0)) indices[i] = centre;
      else indices[i] = symbols.code(io, c, entry);
    }
    survivors[r] = significance.inRow;
  }
  earlier.add(survivors);
}
/** 2^(-i / 4). */
const quarters = [1, 0.8408964152537145, Math.SQRT1_2, 0.5946035575013605];
/** -4 log2 of the share of survivors, at most 63. */
export function roughDensity(indices: Uint8Array, centre: number): number {
  let n = 0;
  for (const i of indices) if (i !== centre) n++;
  return n === 0 ? 63 : Math.min(63, Math.round(-4 * Math.log2(n / indices.length)));
}
