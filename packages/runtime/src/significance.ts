/** Which elements survive: one decision each, predicted from the density of its column, row and surroundings. */
import type { BitCoder } from "./bit-coder.js";
import type { Geometry } from "./geometry.js";
import { ln, logit } from "./logistic.js";
import { hash, Mixer } from "./mixer.js";

/** Taps around a column in its plane, as flat lists. */
interface Taps {
  readonly dx: Int32Array;
  readonly dy: Int32Array;
  readonly weight: Float64Array;
}
function around(radius: number, sigma: number, wanted: (dx: number, dy: number) => boolean): Taps {
  const found: [number, number, number][] = [];
  for (let dy = -radius; dy <= radius; dy++)
    for (let dx = -radius; dx <= radius; dx++) {
      // 1 / (1 + d^2 / (2 sigma^2))^2: close to a Gaussian, without exp.
      const q = 1 + (dx * dx + dy * dy) / (2 * sigma * sigma);
      if ((dx || dy) && wanted(dx, dy)) found.push([dx, dy, 1 / (q * q)]);
    }
  return {
    dx: Int32Array.from(found, (t) => t[0]),
    dy: Int32Array.from(found, (t) => t[1]),
    weight: Float64Array.from(found, (t) => t[2]),
  };
}
/** Neighbours whose counts so far smooth a column's: next to it, and in a wide circle. */
const near = around(1, 1.5, () => true);
const wide = around(4, 2.5, () => true);
/** Neighbours of the same row that are coded already. */
const behind = around(4, 2.5, (dx, dy) => dy < 0 || (dy === 0 && dx < 0));

/** For each place in a plane, the weight of its taps that are inside. */
function insideOf(taps: Taps, { plane, width }: Geometry): Float64Array {
  const inside = new Float64Array(plane);
  for (let at = 0; at < plane; at++)
    for (let i = 0; i < taps.dx.length; i++) {
      const x = (at % width) + taps.dx[i]!;
      const to = at + taps.dy[i]! * width + taps.dx[i]!;
      if (x >= 0 && x < width && to >= 0 && to < plane) inside[at]! += taps.weight[i]!;
    }
  return inside;
}
/** Adds a survivor at column c, place `at` of its plane, to `sums` of all columns whose taps reach it. */
function scatter(taps: Taps, c: number, at: number, { plane, width }: Geometry, sums: Float64Array): void {
  const { dx, dy, weight } = taps;
  const x = at % width;
  for (let i = 0; i < dx.length; i++) {
    const across = x - dx[i]!;
    const to = at - dy[i]! * width - dx[i]!;
    if (across >= 0 && across < width && to >= 0 && to < plane) sums[c + to - at]! += weight[i]!;
  }
}
/** Those that are predictions of their own, with their initial weights. */
const single = [
  [-1, 0, 0.4],
  [-2, 0, 0.15],
  [0, -1, 0.23],
  [-1, -1, 0.08],
  [1, -1, 0.27],
  [0, -2, 0.05],
  [-2, -1, 0],
  [2, -1, 0.1],
] as const;
const singleDx = Int32Array.from(single, (t) => t[0]);
const singleDy = Int32Array.from(single, (t) => t[1]);
/** Initial weights where columns are pixels, and where they have no order. */
const directs = [
  [0.8, 0.2, 0.65, 0.3, 0.45, ...single.map((t) => t[2]), 0.1, 0.1, 0],
  [0.85, 0.2, 0.55, 0, 0.1, ...single.map(() => 0), 0.1, 0.1, 0],
] as const;
/** Where the neighbours' own predictions begin. */
const own = 5;
const options = {
  contexts: 6,
  contextWeight: [0.05, 0.05],
  bits: 16,
  rate: 0.01,
  rateEnd: 0.0005,
  decay: 0.001,
} as const;

const clampDensity = (p: number): number => Math.max(1e-4, Math.min(0.98, p));
/** A logit as a context: steps of 1 / `scale`. */
const step = (x: number, scale: number): number => Math.round(Math.max(-9, Math.min(9, x)) * scale) + 64;

export class Significance {
  readonly mixer: Mixer;
  readonly #spatial: boolean;
  /** Per column: survivors so far, and those of the columns around it. */
  readonly #counts: Float64Array;
  readonly #near: Float64Array;
  readonly #wide: Float64Array;
  readonly #behind: Float64Array;
  readonly #inside: { near: Float64Array; wide: Float64Array; behind: Float64Array };
  /** Per column, for the row in work: expected density, its logit, and what the surroundings add to it. */
  readonly #density: Float64Array;
  readonly #logit: Float64Array;
  readonly #logitNear: Float64Array;
  readonly #logitWide: Float64Array;
  readonly #expectedBehind: Float64Array;
  /** Survivors of the row in work around each column. */
  readonly #seenBehind: Float64Array;
  #row: Uint8Array;
  #above: Uint8Array;
  #above2: Uint8Array;
  #r = -1;
  #total = 0;
  #inRow = 0;
  #expected = 0;

  constructor(
    private readonly g: Geometry,
    /** Share of survivors in the whole tensor, roughly. */
    private readonly density: number,
    /** Expected density of each column relative to the mean, from the layer before; null where nothing is known. */
    private readonly hint: Float64Array | null,
  ) {
    const { columns } = g;
    this.mixer = new Mixer({ ...options, direct: directs[g.width < columns ? 0 : 1] });
    const zeros = () => new Float64Array(columns);
    this.#spatial = g.width < columns;
    this.#counts = zeros();
    this.#density = zeros();
    this.#logit = zeros();
    this.#logitNear = zeros();
    [this.#near, this.#wide, this.#behind, this.#logitWide, this.#expectedBehind, this.#seenBehind] = Array.from(
      { length: 6 },
      () => (this.#spatial ? zeros() : new Float64Array()),
    ) as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
    const of = (taps: Taps) => (this.#spatial ? insideOf(taps, g) : new Float64Array());
    this.#inside = { near: of(near), wide: of(wide), behind: of(behind) };
    this.#row = new Uint8Array(columns);
    this.#above = new Uint8Array(columns);
    this.#above2 = new Uint8Array(columns);
  }

  /** To be called before the first column of each row. */
  nextRow(): void {
    const row = this.#row;
    for (let c = 0; c < row.length; c++) if (row[c] !== 0) this.#count(c);
    this.#row = this.#above2;
    this.#above2 = this.#above;
    this.#above = row;
    this.#row.fill(0);
    this.#seenBehind.fill(0);
    this.#total += this.#inRow;
    this.#r++;
    this.#inRow = 0;
    this.#expected = 0;
    const mean = (this.#total + this.density * 200) / (this.#r * row.length + 200);
    if (this.#spatial) this.#expectPixels(mean);
    else this.#expect(mean);
  }
  #count(c: number): void {
    this.#counts[c]!++;
    if (!this.#spatial) return;
    const at = c % this.g.plane;
    scatter(near, c, at, this.g, this.#near);
    scatter(wide, c, at, this.g, this.#wide);
    scatter(behind, c, at, this.g, this.#behind);
  }
  /** Densities of columns without order: their own counts, smoothed by the tensor's mean. */
  #expect(mean: number): void {
    const rows = this.#r;
    const { hint } = this;
    const [counts, density, own, near] = [this.#counts, this.#density, this.#logit, this.#logitNear];
    for (let c = 0; c < counts.length; c++) {
      const prior = clampDensity(hint ? mean * hint[c]! : mean);
      const p = clampDensity((counts[c]! + 4 * prior) / (rows + 4));
      near[c] = logit(prior);
      density[c] = p;
      own[c] = logit(p);
    }
  }
  /** Densities of pixels: their own counts, smoothed by those next to them. */
  #expectPixels(mean: number): void {
    const rows = this.#r;
    const { hint } = this;
    const { plane } = this.g;
    const [counts, density, own, near] = [this.#counts, this.#density, this.#logit, this.#logitNear];
    const [nearSum, wideSum, behindSum] = [this.#near, this.#wide, this.#behind];
    const [wide, expected, inside] = [this.#logitWide, this.#expectedBehind, this.#inside];
    for (let c = 0; c < counts.length; c++) {
      const at = c % plane;
      const usual = hint ? mean * hint[c]! : mean;
      const prior = clampDensity((nearSum[c]! + 4 * usual) / (inside.near[at]! * rows + 4));
      const around = clampDensity((wideSum[c]! + 4 * mean) / (inside.wide[at]! * rows + 4));
      const p = clampDensity((counts[c]! + 4 * prior) / (rows + 4));
      const logitPrior = logit(prior);
      near[c] = logitPrior;
      wide[c] = logit(around) - logitPrior;
      expected[c] = (behindSum[c]! + 4 * prior * inside.behind[at]!) / (rows + 4);
      density[c] = p;
      own[c] = logit(p);
    }
  }

  /** Codes whether column c of the row survives. */
  code(io: BitCoder, c: number, survives: number): number {
    const { width, plane } = this.g;
    const { direct, contexts } = this.mixer;
    const row = this.#row;
    const density = this.#density;
    const spatial = this.#spatial;
    const factor = (this.#inRow + 2) / (this.#expected + 2);
    const rowLogit = ln(factor);
    const at = c % plane;
    const x = at % width;
    const base = this.#logit[c]!;
    direct[0] = base;
    direct[1] = rowLogit;
    direct[2] = this.#logitNear[c]! - base;
    direct[3] = spatial ? this.#logitWide[c]! : 0;
    let seen = 0;
    let expected = 0;
    if (spatial) {
      seen = this.#seenBehind[c]!;
      expected = this.#expectedBehind[c]!;
    } else {
      for (let i = 1; i <= 4 && i <= c; i++) {
        seen += row[c - i]! / i;
        expected += density[c - i]! / i;
      }
    }
    direct[4] = ln((seen + 0.5) / (expected * factor + 0.5));
    for (let i = 0; i < single.length; i++) {
      const dx = singleDx[i]!;
      const to = at + singleDy[i]! * width + dx;
      const inside = x + dx >= 0 && x + dx < width && to >= 0;
      const there = c + to - at;
      direct[own + i] = inside ? 2 * (row[there]! - density[there]! * factor) : 0;
    }
    const above = this.#above;
    const rows = own + single.length;
    const tilt = density[c]! * factor;
    direct[rows] = 2 * (above[c]! - tilt);
    direct[rows + 1] = 2 * (this.#above2[c]! - tilt);
    direct[rows + 2] = (c > 0 ? above[c - 1]! : 0) + (c + 1 < above.length ? above[c + 1]! : 0) - 2 * tilt;
    const left = c > 0 ? row[c - 1]! : 0;
    const left2 = c > 1 ? row[c - 2]! : 0;
    const left3 = c > 2 ? row[c - 3]! : 0;
    const up = spatial && at >= width ? row[c - width]! : 0;
    const level = step(base, 2);
    contexts[0] = 1;
    contexts[1] = 2 + (left + 2 * left2 + 4 * left3 + 8 * (c & 3)) * 16;
    contexts[2] = hash(3 + level * 16, step(rowLogit, 3));
    contexts[3] = hash(4 + level * 16, left + 2 * left2 + 4 * up);
    contexts[4] = 5 + (this.#above[c]! + 2 * this.#above2[c]! + 4 * left + 8 * (c > 0 ? this.#above[c - 1]! : 0)) * 16;
    contexts[5] = hash(6, plane < this.g.columns ? at : c);
    const bit = this.mixer.bit(io, 0, survives);
    this.#expected += density[c]!;
    if (bit) {
      row[c] = 1;
      this.#inRow++;
      if (spatial) scatter(behind, c, at, this.g, this.#seenBehind);
    }
    return bit;
  }
  /** Survivors of the row so far. */
  get inRow(): number {
    return this.#inRow;
  }
}
