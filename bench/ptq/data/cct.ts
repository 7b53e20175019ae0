/** CIFAR-10 for the compact transformer, which is untrained: 100 training images calibrate, 300 test. */
import { cifar, normalized } from "../sources/cifar.js";
import { type Sample, spread } from "../sources/samples.js";

async function* part(name: "train" | "test", count: number): AsyncGenerator<Sample> {
  const { images } = await cifar(name);
  for (const pixels of spread(images, count)) yield { x: { data: normalized(pixels), dims: [1, 3, 32, 32] } };
}
export const train = () => part("train", 100);
export const test = () => part("test", 300);
