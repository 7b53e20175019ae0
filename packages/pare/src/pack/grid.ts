/** Float32 values -> the scale and integers they are multiples of, where they are exactly. */

/** Strictly ascending values; null where float32(scale * integer) does not give every one of them, or the integers are not worth it. */
export function gridOf(values: readonly number[]): { scale: number; integers: readonly number[] } | null {
  if (values.length < 3 || values.some((v) => !Number.isFinite(v) || Object.is(v, -0))) return null;
  let gap = Number.POSITIVE_INFINITY;
  for (let i = 1; i < values.length; i++) gap = Math.min(gap, values[i]! - values[i - 1]!);
  const largest = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  if (!(gap > 0) || Math.abs(largest) / gap > 4096) return null;
  // The smallest gap is one step or a few; the largest value fixes the step's last bits.
  for (let steps = 1; steps <= 4; steps++) {
    const k = Math.round((largest * steps) / gap);
    if (k === 0) continue;
    const guess = Math.fround(largest / k);
    for (const scale of neighbours(guess)) {
      const integers = values.map((v) => Math.round(v / scale));
      if (values.every((v, i) => Object.is(Math.fround(scale * integers[i]!), v))) return { scale, integers };
    }
  }
  return null;
}

/** A float32 and those next to it. */
function neighbours(x: number): number[] {
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  return [0, 1, -1, 2, -2, 3, -3, 4, -4].map((step) => {
    float[0] = x;
    bits[0]! += step;
    return float[0]!;
  });
}
