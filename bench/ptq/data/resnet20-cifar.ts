/** CIFAR-10 for ResNet-20: 100 training images calibrate, 10,000 test. */
import { cifar, normalized } from "../sources/cifar.js";
import { type Sample, spread } from "../sources/samples.js";

async function* part(name: "train" | "test"): AsyncGenerator<Sample> {
  const { images, labels } = await cifar(name);
  const all = images.map((pixels, i) => ({ pixels, label: labels[i]! }));
  for (const { pixels, label } of name === "train" ? spread(all, 100) : all)
    yield { x: { data: normalized(pixels), dims: [1, 3, 32, 32] }, label };
}
export const train = () => part("train");
export const test = () => part("test");
