/** Logarithms and the logistic map from + - * / and tables alone: their doubles are the same in every engine, which Math.exp and Math.log do not promise. */

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
float[0] = 1;
const high = words[1] === 0x3ff00000 ? 1 : 0;

/** ln(1 + (i + 0.5) / 256), by its series in (m - 1) / (m + 1). */
const lnOf = Float64Array.from({ length: 256 }, (_, i) => {
  const t = (i + 0.5) / (i + 512.5);
  let y = 0;
  for (let k = 33; k > 0; k -= 2) y = y * t * t + 1 / k;
  return 2 * t * y;
});

/** ln(x) for normal x > 0, to about 1e-12. */
export function ln(x: number): number {
  float[0] = x;
  const h = words[high]!;
  const i = (h >>> 12) & 255;
  // The mantissa: x with its exponent set to 0.
  words[high] = (h & 0xfffff) | 0x3ff00000;
  const middle = 1 + (i + 0.5) / 256;
  const t = (float[0]! - middle) / middle;
  return ((h >>> 20) - 1023) * Math.LN2 + lnOf[i]! + t * (1 - t * (0.5 - t / 3));
}
/** ln(p / (1 - p)) for 0 < p < 1. */
export const logit = (p: number): number => ln(p / (1 - p));

/** The logit of a probability in 16 bits: index p >>> 4. */
export const stretch = Float64Array.from({ length: 4096 }, (_, i) => ln((i + 0.5) / (4095.5 - i)));

/** e^x for |x| <= 16. */
function exp(x: number): number {
  const r = x / 4096;
  let y = 1 + r * (1 + (r / 2) * (1 + (r / 3) * (1 + r / 4)));
  for (let i = 0; i < 12; i++) y *= y;
  return y;
}
const steps = 128;
const limit = 12;
const squashed = Float64Array.from({ length: 2 * limit * steps + 2 }, (_, i) => 1 / (1 + exp(limit - i / steps)));
/** 1 / (1 + e^-x), clamped to |x| <= 12. */
export function squash(x: number): number {
  const at = (Math.max(-limit, Math.min(limit, x)) + limit) * steps;
  const i = Math.floor(at);
  return squashed[i]! + (at - i) * (squashed[i + 1]! - squashed[i]!);
}
