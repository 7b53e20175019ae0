/**
 * Half-quadratic quantization: a weight and a grid come in; out, codes on a grid of the same layout whose zero points (and scales) are chosen by the
 * weights alone, so that a few large ones do not decide about all.
 *
 * Badri, Shaji: Half-Quadratic Quantization of Large Machine Learning Models, 2023. min |W - W'|_p^p with p = 0.7 over zero points.
 *
 * Differs from the paper:
 * - Zero points are rounded to integers, since grids have no others, and so a few smaller scales are tried too, each with a zero point of its
 *   own and then fitted to its codes.
 * - What the norm likes best may be worse in squares, and these are what a product shows. So of the candidates whose sum of |W - W'|^p is not above
 *   that of the grid that came in, the one with the least squared error stays: neither error ever grows.
 * - Grids of signed types keep their zero points where these are zero: kernels want them symmetric. Only the scale is chosen then.
 */
import { groupsOf, quantizeTensor, roundToEven } from "../../quantization/grid.js";
import type { Grid, QuantizedTensor } from "../../quantization/plan.js";

const p = 0.7;
const beta = 10;
const growth = 1.01;
const iterations = 20;
/** Shares of the scale that came in. */
const shares = [1, 0.975, 0.95, 0.925, 0.9, 0.875, 0.85, 0.8, 0.75];

/** `grid`: its layout, type and range of codes, with min-max scales and zero points to begin with. Throws PareError where it does not fit the shape. */
export function hqq(values: Float32Array, dims: readonly number[], grid: Grid): QuantizedTensor {
  const { count, of } = groupsOf(dims, grid);
  const members: number[][] = Array.from({ length: count }, () => []);
  for (let i = 0; i < values.length; i++) members[of(i)]!.push(i);
  const scale = grid.scale.slice();
  const zeroPoint = grid.zeroPoint.slice();
  const symmetric = !grid.type.startsWith("u") && zeroPoint.every((z) => z === 0);
  members.forEach((own, g) => {
    const w = Float64Array.from(own, (i) => values[i]!);
    [scale[g], zeroPoint[g]] = chosen(w, scale[g]!, zeroPoint[g]!, grid.range, symmetric);
  });
  return quantizeTensor(values, dims, { ...grid, scale, zeroPoint });
}

type Range = Grid["range"];
function chosen(w: Float64Array, scale: number, zero: number, range: Range, symmetric: boolean): [number, number] {
  let best: [number, number] = [scale, zero];
  let least = distance(w, scale, zero, range, 2);
  const most = distance(w, scale, zero, range, p);
  for (const share of shares) {
    const start = scale * share;
    const z = symmetric ? zero : halfQuadratic(w, start, zero, range);
    for (const candidate of symmetric ? [zero] : [Math.floor(z), Math.ceil(z)]) {
      const whole = clamp(candidate, range);
      const s = fitted(w, start, whole, range);
      const error = distance(w, s, whole, range, 2);
      if (error < least && distance(w, s, whole, range, p) <= most) [least, best] = [error, [s, whole]];
    }
  }
  return best;
}
/** The scale that fits the codes of `scale` best in squares; `scale` where all codes are zero. */
function fitted(w: Float64Array, scale: number, zero: number, range: Range): number {
  let [over, under] = [0, 0];
  for (const x of w) {
    const q = clamp(roundToEven(x / scale) + zero, range) - zero;
    over += x * q;
    under += q * q;
  }
  return over > 0 ? Math.fround(over / under) : Math.fround(scale);
}
const clamp = (x: number, [low, high]: Range): number => (x < low ? low : x > high ? high : x);
/** Sum of |w - w'|^power. */
function distance(w: Float64Array, scale: number, zero: number, range: Range, power: number): number {
  let sum = 0;
  for (const x of w) {
    const d = Math.abs(x - (clamp(roundToEven(x / scale) + zero, range) - zero) * scale);
    sum += power === 2 ? d * d : d ** power;
  }
  return sum;
}

/** A zero point between integers: alternates between the errors that are let be (equation 5) and the zero point that fits the rest (equation 6). */
function halfQuadratic(w: Float64Array, scale: number, start: number, range: Range): number {
  let zero = start;
  let best = start;
  let least = Number.POSITIVE_INFINITY;
  let b = beta;
  for (let t = 0; t < iterations; t++, b *= growth) {
    let [error, sum] = [0, 0];
    const shrunk = b ** (1 / (p - 2));
    for (const x of w) {
      const q = clamp(roundToEven(x / scale + zero), range);
      const d = x - (q - zero) * scale;
      error += Math.abs(d);
      // Generalised soft thresholding: small errors are taken as none, large ones stay.
      const kept = Math.abs(d) > shrunk ? Math.sign(d) * (Math.abs(d) - Math.abs(d) ** (p - 1) / b) : 0;
      sum += q - (x - kept) / scale;
    }
    if (error >= least) break;
    [least, best] = [error, zero];
    zero = sum / w.length;
  }
  return best;
}
