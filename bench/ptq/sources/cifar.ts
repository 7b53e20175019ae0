/** CIFAR-10 as the networks here take it. */
import { readCifar } from "../../../packages/pare/dist/data/cifar.js";
import { shared } from "./places.js";

/** Images that calibrate, of the training file, and all 10,000 test images; pixels 0..255, planes of 32 x 32. */
export async function cifar(part: "train" | "test"): Promise<{ images: Uint8Array[]; labels: Int32Array }> {
  const file = part === "train" ? "data_batch_1.bin.br" : "test_batch.bin.br";
  const table = await readCifar("cifar10", [shared(`cifar10/${file}`)]);
  const data = table.columns[0]!.data as Uint8Array;
  const size = 3 * 32 * 32;
  const images = Array.from({ length: data.length / size }, (_, i) => data.subarray(i * size, (i + 1) * size));
  return { images, labels: table.labels! };
}

const [mean, deviation] = [
  [0.4914, 0.4822, 0.4465],
  [0.247, 0.2435, 0.2616],
] as const;
export function normalized(pixels: Uint8Array): Float32Array {
  return Float32Array.from(pixels, (v, i) => {
    const c = Math.floor(i / 1024);
    return (v / 255 - mean[c]!) / deviation[c]!;
  });
}
