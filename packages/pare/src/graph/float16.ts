/** IEEE 754 binary16 and back. Numbers <-> 16-bit patterns, rounding to nearest, ties to even. */

/** The value of a float16 bit pattern. */
export function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}

/** The nearest float16, ties to even; beyond 65,504 infinity. */
export function float16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -24)));
  // the logarithm may be off by one beside a power of two: the mantissa tells
  const scaled = size / 2 ** (exponent - 10);
  const [e, m] =
    scaled >= 2048
      ? [exponent + 1, scaled / 2]
      : scaled < 1024 && exponent > -14
        ? [exponent - 1, scaled * 2]
        : [exponent, scaled];
  const rounded = roundToEven(m);
  // a mantissa of 2048 carries into the exponent by itself
  return sign | (rounded < 1024 ? rounded : ((e + 15) << 10) + (rounded - 1024));
}
function roundToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

/** The float16 value nearest to `value`. */
export const roundToFloat16 = (value: number): number => float16Value(float16Bits(value));
