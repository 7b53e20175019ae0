/** Luma of ImageNet photographs, 224 x 224: 50 calibrate, 30 others test. */
import { crop, decode, imageNetFiles, luma } from "../sources/image.js";
import { each, spread } from "../sources/samples.js";

const part = (first: number, count: number) =>
  each(
    spread(
      imageNetFiles().filter((_, i) => i % 2 === first),
      count,
    ),
    (file) => ({ x: luma(crop(decode(file), 224)) }),
  );
export const train = () => part(0, 50);
export const test = () => part(1, 30);
