/** What the coder will charge for each choice of a quantizer: shared values' indices -> bits per element and per value. */
import { bestGeometry } from "./best-geometry.js";
import type { BitCoder } from "./bit-coder.js";
import type { CodebookPlan } from "./codebook.js";
import { type Geometry, plainGeometry } from "./geometry.js";
import { Earlier, planeOf, roughDensity } from "./plane.js";

export interface BitCosts {
  /** Bits for "element i is zero" and for "it is not", as the coder predicts them from everything coded before it. */
  readonly zero: Float32Array;
  readonly nonzero: Float32Array;
  /** Bits for value k, given that an element is not zero: the mean over the tensor, NaN for zero itself. */
  readonly value: Float64Array;
  /** How the columns are laid out best: worth keeping between calls. */
  readonly geometry: Geometry;
}

/** Notes the probability of the last decision, and sums up the bits since it was asked. */
class Listener implements BitCoder {
  readonly reading = false;
  p = 0;
  bits = 0;
  bit(p: number, bit: number): number {
    this.p = p / 65536;
    this.bits -= Math.log2(bit ? this.p : 1 - this.p);
    return bit;
  }
  plain(length: number): Uint8Array {
    return new Uint8Array(length);
  }
  spend(): void {}
}

/**
 * Runs the coder over element i = `values[indices[i]]` (row-major in `dims`; at most 256 values, one of them 0) and reports what it charges.
 * Neighbours are taken as they are, so that a quantizer asks again after it has moved many.
 */
export function bitCosts(
  indices: ArrayLike<number>,
  values: ArrayLike<number>,
  dims: readonly number[],
  geometry?: Geometry,
): BitCosts {
  const order = Array.from(values, (_, k) => k).sort((a, b) => values[a]! - values[b]!);
  const rank = new Uint8Array(order.length);
  for (const [r, k] of order.entries()) rank[k] = r;
  const ranked = Uint8Array.from(indices, (k) => rank[k]!);
  const centre = order.findIndex((k) => values[k] === 0);
  if (centre < 0) throw new RangeError("none of the values is 0");
  const g = geometry ?? searched(ranked, dims, values.length, centre);
  const { rows, columns, transposed } = g;
  const { significance, symbols } = planeOf(g, roughDensity(ranked, centre), values.length, centre, new Earlier());
  const zero = new Float32Array(ranked.length);
  const nonzero = new Float32Array(ranked.length);
  const spent = new Float64Array(values.length);
  const uses = new Float64Array(values.length);
  const io = new Listener();
  for (let r = 0; r < rows; r++) {
    significance.nextRow();
    symbols.nextRow();
    for (let c = 0; c < columns; c++) {
      const i = transposed ? c * rows + r : r * columns + c;
      const entry = ranked[i]!;
      significance.code(io, c, entry === centre ? 0 : 1);
      zero[i] = -Math.log2(1 - io.p);
      nonzero[i] = -Math.log2(io.p);
      if (entry === centre) continue;
      io.bits = 0;
      symbols.code(io, c, entry);
      spent[indices[i]!]! += io.bits;
      uses[indices[i]!]!++;
    }
  }
  const survivors = uses.reduce((sum, n) => sum + n, 0);
  // A value that nobody uses costs what learning it would.
  const rare = Math.log2(survivors + 2);
  const value = spent.map((bits, k) => (values[k] === 0 ? Number.NaN : (bits + rare) / (uses[k]! + 1)));
  return { zero, nonzero, value, geometry: g };
}

function searched(indices: Uint8Array, dims: readonly number[], count: number, centre: number): Geometry {
  const plan: CodebookPlan = {
    coding: "codebook",
    words: new Uint32Array(count),
    form: "patterns",
    integers: [],
    scale: 1,
    centre,
    indices,
    geometry: plainGeometry(dims),
  };
  return bestGeometry({ type: "float32", dims, bytes: new Uint8Array() }, plan, new Earlier()).geometry;
}
