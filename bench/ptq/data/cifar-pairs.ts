/** CIFAR-10 in pairs, for networks that were exported with a batch of two: 50 pairs calibrate, 20 others test. */
import { cifar, normalized } from "../sources/cifar.js";
import { type Sample, spread } from "../sources/samples.js";

async function* part(name: "train" | "test", count: number): AsyncGenerator<Sample> {
  const images = spread((await cifar(name)).images, 2 * count).map(normalized);
  for (let i = 0; i < count; i++)
    yield { x: { data: Float32Array.of(...images[2 * i]!, ...images[2 * i + 1]!), dims: [2, 3, 32, 32] } };
}
export const train = () => part("train", 50);
export const test = () => part("test", 20);
