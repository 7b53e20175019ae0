/** A Dropout mask is drawn: a ratio and a generator come in, the array is filled. */
import type { Random } from "../data/random.js";

/** 0 with probability `ratio`, else 1 / (1 - ratio); the ratio is met to 1 / 65536. */
export function drawMask(mask: Float32Array, ratio: number, random: Random): void {
  const limit = Math.round(ratio * 65536);
  const keep = 65536 / (65536 - limit);
  for (let i = 0; i < mask.length; i += 2) {
    const bits = random.uint32();
    mask[i] = (bits & 0xffff) < limit ? 0 : keep;
    if (i + 1 < mask.length) mask[i + 1] = bits >>> 16 < limit ? 0 : keep;
  }
}
