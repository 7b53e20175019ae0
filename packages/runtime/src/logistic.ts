/** The logistic map and its inverse as tables, from + - * / alone: their doubles are the same in every engine, which Math.exp and Math.log do not promise. */

/** e^x for |x| <= 16. */
function exp(x: number): number {
  const r = x / 4096;
  let y = 1 + r * (1 + (r / 2) * (1 + (r / 3) * (1 + r / 4)));
  for (let i = 0; i < 12; i++) y *= y;
  return y;
}
/** ln(x) for x > 0. */
function ln(x: number): number {
  let k = 0;
  let m = x;
  for (; m < 0.7; k--) m *= 2;
  for (; m > 1.4; k++) m /= 2;
  const t = (m - 1) / (m + 1);
  const s = t * t;
  let y = 0;
  for (let i = 31; i > 0; i -= 2) y = y * s + 1 / i;
  return 2 * t * y + k * Math.LN2;
}

/** ln(p / (1 - p)) for p in 16 bits: index p >>> 4. */
export const stretch = Float64Array.from({ length: 4096 }, (_, i) => ln((i + 0.5) / (4095.5 - i)));

const steps = 128;
const limit = 12;
const table = Float64Array.from({ length: 2 * limit * steps + 2 }, (_, i) => 1 / (1 + exp(limit - i / steps)));
/** 1 / (1 + e^-x), clamped to |x| <= 12. */
export function squash(x: number): number {
  const at = (Math.max(-limit, Math.min(limit, x)) + limit) * steps;
  const i = Math.floor(at);
  return table[i]! + (at - i) * (table[i + 1]! - table[i]!);
}
/** A probability as the range coder takes it: 1..65535. */
export const probability16 = (p: number): number => Math.max(1, Math.min(65535, Math.round(p * 65536)));
