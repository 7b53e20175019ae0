/** Images n c h w come in; the same images, cropped, shifted and flipped by seeded draws, stand in their place. */
import type { Random } from "../data/random.js";
import { PareError } from "../graph/error.js";
import type { Augmentation } from "./options.js";

/** In place. Every image draws its own crop, shift and flip, in order. */
export function augment(images: Float32Array, dims: readonly number[], a: Augmentation, random: Random): void {
  const [n, c, h, w] = dims as [number, number, number, number];
  const { crop = 1, shift = 0, flip = false, padValue = 0 } = a;
  if (!(crop > 0 && crop <= 1))
    throw new PareError(`augment: crop ${crop} should be a share of the image's sides, above 0 and at most 1`, "usage");
  if (!(Number.isInteger(shift) && shift >= 0 && shift < Math.min(h, w)))
    throw new PareError(
      `augment: shift ${shift} should be a whole number from 0, below the image's ${h}x${w}`,
      "usage",
    );
  const before = new Float32Array(c * h * w);
  for (let i = 0; i < n; i++) {
    const image = images.subarray(i * c * h * w, (i + 1) * c * h * w);
    if (crop < 1) {
      const side = crop + (1 - crop) * random.uniform();
      const [top, left] = [(1 - side) * h * random.uniform(), (1 - side) * w * random.uniform()];
      before.set(image);
      enlarge(before, image, dims, { top, left, side });
    }
    const dy = shift ? random.below(2 * shift + 1) - shift : 0;
    const dx = shift ? random.below(2 * shift + 1) - shift : 0;
    const mirrored = flip && random.below(2) === 1;
    if (dy === 0 && dx === 0 && !mirrored) continue;
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

/** A window of an image c h w, `side` of its height and width, spread over the whole image; bilinear, pixels are areas. */
function enlarge(
  from: Float32Array,
  to: Float32Array,
  dims: readonly number[],
  window: { readonly top: number; readonly left: number; readonly side: number },
): void {
  const [, c, h, w] = dims as [number, number, number, number];
  const taps = (n: number, start: number) =>
    Array.from({ length: n }, (_, i) => {
      const at = Math.min(n - 1, Math.max(0, start + (i + 0.5) * window.side - 0.5));
      const low = Math.floor(at);
      return { low, high: Math.min(n - 1, low + 1), part: at - low };
    });
  const [rows, columns] = [taps(h, window.top), taps(w, window.left)];
  for (let k = 0; k < c; k++)
    for (let y = 0; y < h; y++) {
      const r = rows[y]!;
      const [up, down] = [(k * h + r.low) * w, (k * h + r.high) * w];
      for (let x = 0; x < w; x++) {
        const q = columns[x]!;
        const above = from[up + q.low]! * (1 - q.part) + from[up + q.high]! * q.part;
        const below = from[down + q.low]! * (1 - q.part) + from[down + q.high]! * q.part;
        to[(k * h + y) * w + x] = above * (1 - r.part) + below * r.part;
      }
    }
}
