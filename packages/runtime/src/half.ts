/** float16 bit patterns <-> float32 values. */

const powers = Float64Array.from({ length: 31 }, (_, i) => {
  let p = 1;
  for (let k = 15; k < i; k++) p *= 2;
  for (let k = i; k < 15; k++) p /= 2;
  return p;
});

/** The value of a finite float16 pattern; infinities and NaN have their float32 counterparts. */
export function fromHalf(pattern: number): number {
  const exponent = (pattern >> 10) & 31;
  const mantissa = pattern & 1023;
  const sign = pattern & 0x8000 ? -1 : 1;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return (sign * mantissa) / 16777216;
  return sign * powers[exponent]! * (1 + mantissa / 1024);
}

/** The pattern of a value that float16 holds exactly; null for others, and for NaN, whose payload would be lost. */
export function toHalf(value: number): number | null {
  if (Number.isNaN(value)) return null;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (size < powers[1]!) {
    const m = size * 16777216;
    return Number.isInteger(m) ? sign | m : null;
  }
  let exponent = 1;
  while (exponent < 30 && size >= powers[exponent + 1]!) exponent++;
  const m = (size / powers[exponent]! - 1) * 1024;
  return Number.isInteger(m) && m < 1024 ? sign | (exponent << 10) | m : null;
}
