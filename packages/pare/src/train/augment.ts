/** Images n c h w come in; the same images, shifted and flipped by seeded draws, stand in their place. */
import type { Random } from "../data/random.js";
import { PareError } from "../graph/error.js";
import type { Augmentation } from "./options.js";

/** In place. Every image draws its own shift and flip, in order. */
export function augment(images: Float32Array, dims: readonly number[], a: Augmentation, random: Random): void {
  const [n, c, h, w] = dims as [number, number, number, number];
  const { shift = 0, flip = false, padValue = 0 } = a;
  if (!(Number.isInteger(shift) && shift >= 0 && shift < Math.min(h, w)))
    throw new PareError(
      `augment: shift ${shift} should be a whole number from 0, below the image's ${h}x${w}`,
      "usage",
    );
  const before = new Float32Array(c * h * w);
  for (let i = 0; i < n; i++) {
    const dy = shift ? random.below(2 * shift + 1) - shift : 0;
    const dx = shift ? random.below(2 * shift + 1) - shift : 0;
    const mirrored = flip && random.below(2) === 1;
    if (dy === 0 && dx === 0 && !mirrored) continue;
    const image = images.subarray(i * c * h * w, (i + 1) * c * h * w);
    before.set(image);
    for (let k = 0; k < c; k++)
      for (let y = 0; y < h; y++) {
        const from = y - dy;
        const row = (k * h + y) * w;
        for (let x = 0; x < w; x++) {
          const sx = x - dx;
          const inside = from >= 0 && from < h && sx >= 0 && sx < w;
          image[row + x] = inside ? before[(k * h + from) * w + (mirrored ? w - 1 - sx : sx)]! : padValue;
        }
      }
  }
}
