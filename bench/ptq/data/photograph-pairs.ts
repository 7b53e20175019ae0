/** ImageNet photographs, 64 x 64, in pairs: 50 pairs calibrate, 20 others test. */
import { decode, imageNetFiles, planes, resize } from "../sources/image.js";
import { each, spread } from "../sources/samples.js";

const [mean, deviation] = [
  [123.675, 116.28, 103.53],
  [58.395, 57.12, 57.375],
] as const;
const small = (file: string): Float32Array => planes(resize(decode(file), 64, 64), mean, deviation).data;
function part(first: number, count: number) {
  const files = spread(
    imageNetFiles().filter((_, i) => i % 2 === first),
    2 * count,
  );
  return each(
    Array.from({ length: count }, (_, i) => files.slice(2 * i, 2 * i + 2)),
    ([a, b]) => ({ x: { data: Float32Array.of(...small(a!), ...small(b!)), dims: [2, 3, 64, 64] } }),
  );
}
export const train = () => part(0, 50);
export const test = () => part(1, 20);
