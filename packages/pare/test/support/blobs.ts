/** A small image classification problem that a network learns in a few epochs: one bright corner per class, under noise. */
import type { Dataset } from "../../dist/data/dataset.js";
import { fromArrays } from "../../dist/data/from-table.js";
import { Random } from "../../dist/data/random.js";

export function blobs(samples: number, dims: readonly [number, number, number], seed: number, classes = 4): Dataset {
  const [c, h, w] = dims;
  const random = new Random(seed);
  const data = new Float32Array(samples * c * h * w);
  const labels = new Int32Array(samples);
  for (let s = 0; s < samples; s++) {
    const label = random.below(classes);
    labels[s] = label;
    for (let i = 0; i < c * h * w; i++) {
      const [y, x] = [Math.floor((i % (h * w)) / w), i % w];
      const bright = (y < h / 2 ? 0 : 2) + (x < w / 2 ? 0 : 1) === label;
      data[s * c * h * w + i] = 0.6 * random.uniform() + (bright ? 0.25 : 0);
    }
  }
  return fromArrays({ name: "blobs", x: data, dims, y: labels, classes });
}
