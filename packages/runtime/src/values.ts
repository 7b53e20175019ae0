/** Which value a survivor has: its side of the centre, then how far from it, predicted from the survivors around it. */
import type { BitCoder } from "./bit-coder.js";
import type { Geometry } from "./geometry.js";
import { hash, Mixer } from "./mixer.js";

const options = {
  contexts: 7,
  contextWeight: [0.06, 0.2],
  bits: 16,
  direct: [0, 0, 0],
  rate: 0.015,
  rateEnd: 0.002,
  decay: 0.0005,
} as const;
/** Up to this distance from the centre in unary. */
const unary = 8;
const taps = [
  [-1, 0, 1],
  [0, -1, 1],
  [-1, -1, 0.7],
  [1, -1, 0.7],
  [-2, 0, 0.5],
  [0, -2, 0.5],
] as const;

/** Running sums over the survivors of a row or a column. */
interface Sums {
  readonly n: Float64Array;
  readonly sides: Float64Array;
  readonly ranks: Float64Array;
}
const sums = (length: number): Sums => ({
  n: new Float64Array(length),
  sides: new Float64Array(length),
  ranks: new Float64Array(length),
});

export class Values {
  readonly mixer = new Mixer(options);
  readonly #columns: Sums;
  readonly #row = sums(1);
  /** Distance from the centre of each element of the row so far, negative below; 0 is the centre. */
  #line: Int16Array;
  #total = { n: 2, ranks: 3 };

  constructor(
    private readonly g: Geometry,
    /** Entries of the codebook, and the one in the centre. */
    private readonly count: number,
    private readonly centre: number,
  ) {
    this.#columns = sums(g.columns);
    this.#line = new Int16Array(g.columns);
  }
  nextRow(): void {
    this.#line.fill(0);
    for (const a of Object.values(this.#row)) a.fill(0);
  }

  /** Codes the codebook entry of column c, which is not the centre. */
  code(io: BitCoder, c: number, entry: number): number {
    const { width, plane } = this.g;
    const { contexts, direct } = this.mixer;
    const line = this.#line;
    const at = c % plane;
    const x = at % width;
    let side = 0;
    let rank = 0;
    let weight = 0;
    for (let i = 0; i < taps.length; i++) {
      const [dx, dy, w] = taps[i]!;
      const to = at + dy * width + dx;
      if (x + dx < 0 || x + dx >= width || to < 0) continue;
      const v = line[c + to - at]!;
      if (v === 0) continue;
      side += v > 0 ? w : -w;
      rank += w * Math.abs(v);
      weight += w;
    }
    const mean = this.#total.ranks / this.#total.n;
    const level = Math.round(Math.min(15, (4 * (rank + mean)) / (weight + 1) / mean));
    const rowLevel = relative(this.#row, 0, mean);
    const columnLevel = relative(this.#columns, c, mean);
    const sideLevel = Math.round(side * 1.5) + 8;
    const rowSide = tendency(this.#row, 0);
    const columnSide = tendency(this.#columns, c);
    direct[0] = side;
    direct[1] = rowSide;
    direct[2] = columnSide;
    contexts[0] = 1;
    contexts[1] = hash(2, sideLevel);
    contexts[2] = hash(3, (c > 0 ? line[c - 1]! : 0) * 1024 + (at >= width ? line[c - width]! : 0));
    contexts[3] = hash(4, Math.round(rowSide * 4));
    contexts[4] = hash(5, Math.round(columnSide * 3));
    contexts[5] = hash(6, level + 32 * sideLevel);
    contexts[6] = hash(7, rowLevel + 32 * columnLevel);

    const up = this.#side(io, entry > this.centre ? 1 : 0);
    direct.fill(0);
    const most = up ? this.count - 1 - this.centre : this.centre;
    const distance = this.#distance(io, up, Math.abs(entry - this.centre), most);
    const signed = up ? distance : -distance;
    line[c] = signed;
    note(this.#row, 0, signed);
    note(this.#columns, c, signed);
    this.#total.n++;
    this.#total.ranks += distance;
    return this.centre + signed;
  }
  #side(io: BitCoder, up: number): number {
    if (this.centre === 0) return 1;
    if (this.centre === this.count - 1) return 0;
    return this.mixer.bit(io, 1, up);
  }
  /** 1..most: unary where there are few, else the length of the number in unary and then its bits. */
  #distance(io: BitCoder, up: number, distance: number, most: number): number {
    const node = 1024 * (2 + up);
    if (most <= unary) {
      let d = 1;
      while (d < most && this.mixer.bit(io, node + d, distance > d ? 1 : 0)) d++;
      return d;
    }
    const longest = 31 - Math.clz32(most);
    let length = 0;
    while (length < longest && this.mixer.bit(io, node + length, distance >> (length + 1) ? 1 : 0)) length++;
    let d = 1;
    for (let i = length - 1; i >= 0; i--)
      d = 2 * d + this.mixer.bit(io, hash(node, 64 + d * 8 + i), (distance >> i) & 1);
    return Math.min(d, most);
  }
}

function note(s: Sums, i: number, signed: number): void {
  s.n[i]!++;
  s.sides[i]! += signed > 0 ? 1 : -1;
  s.ranks[i]! += Math.abs(signed);
}
/** Mean rank of a row or column against the tensor's, in quarters; slow to leave 4. */
const relative = (s: Sums, i: number, mean: number): number =>
  Math.round(Math.min(15, (4 * (s.ranks[i]! + 2 * mean)) / (s.n[i]! + 2) / mean));
/** Surplus of the upper side, in standard deviations of a coin. */
const tendency = (s: Sums, i: number): number => {
  const t = s.sides[i]! / rootOf(s.n[i]! + 2);
  return Math.max(-2, Math.min(2, t));
};
/** A square root by Newton's steps: the same in every engine. */
function rootOf(x: number): number {
  let y = x > 16 ? x / 4 : 1 + x / 4;
  for (let i = 0; i < 6; i++) y = (y + x / y) / 2;
  return y;
}
