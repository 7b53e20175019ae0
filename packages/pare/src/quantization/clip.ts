/** Values -> the range that loses the least squared error on a grid: outliers are cut off where that helps the rest. */
import type { CodeType } from "./plan.js";

/** Shares of the full range that are tried. */
const steps = 40;
const smallestShare = 0.4;

/**
 * Searches the clip by its mean squared error (MSE range setting; OMSE where the values are one channel's). Both ends shrink alike; zero stays inside.
 * Codes are counted without rounding the zero point, which is the same to within one code.
 */
export function clippedRange(
  values: Float32Array,
  type: CodeType,
  [first, last]: readonly [number, number],
): [number, number] {
  let [low, high] = [0, 0];
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (low === high || !Number.isFinite(low) || !Number.isFinite(high)) return [low, high];
  if (!type.startsWith("u")) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
  let best: [number, number] = [low, high];
  let least = Number.POSITIVE_INFINITY;
  for (let k = 0; k <= steps; k++) {
    const share = 1 - (k / steps) * (1 - smallestShare);
    const [a, b] = [low * share, high * share];
    const error = squaredError(values, a, b, last - first);
    if (error < least) [least, best] = [error, [a, b]];
  }
  return best;
}

function squaredError(values: Float32Array, low: number, high: number, levels: number): number {
  const scale = (high - low) / levels;
  let error = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    const clipped = v < low ? low : v > high ? high : v;
    const d = v - Math.round(clipped / scale) * scale;
    error += d * d;
  }
  return error;
}
