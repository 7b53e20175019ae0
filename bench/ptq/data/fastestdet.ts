/** ImageNet photographs and photographs with faces for FastestDet: 100 calibrate, 50 others test. */
import { decode, faceFiles, imageNetFiles, planes, resize } from "../sources/image.js";
import { each, spread } from "../sources/samples.js";

const files = (first: number, count: number): string[] => [
  ...spread(
    imageNetFiles().filter((_, i) => i % 2 === first),
    count - 12,
  ),
  ...faceFiles().filter((_, i) => i % 2 === first),
];
const part = (first: number, count: number) =>
  each(files(first, count), (file) => ({
    x: planes(resize(decode(file), 352, 352), [0, 0, 0], [255, 255, 255], "bgr"),
  }));
export const train = () => part(0, 100);
export const test = () => part(1, 50);
