/** IEEE 754 binary16 and back. Numbers <-> 16-bit patterns, rounding to nearest, ties to even. */

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** The bit pattern nearest to `value`; beyond 65,504 infinity. */
export function float16Bits(value: number): number {
  single[0] = value;
  const sign = (word[0]! >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (magnitude >= 65_520) return sign | 0x7c00;
  // 2^-24 is the spacing below 2^-14; above, the spacing is 2^(exponent - 10).
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const scaled = magnitude / 2 ** (exponent - 10);
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
  if (exponent === -14) return sign | rounded;
  return sign | (((exponent + 14) << 10) + rounded);
}
export function float16Value(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}
/** The float16 value nearest to `value`. */
export const roundToFloat16 = (value: number): number => float16Value(float16Bits(value));
