/** Patches of ImageNet photographs, 4 x 4 in 0..1: 100 calibrate, 50 others test. */
import { crop, decode, imageNetFiles, planes } from "../sources/image.js";
import { each, spread } from "../sources/samples.js";

const part = (first: number, count: number) =>
  each(
    spread(
      imageNetFiles().filter((_, i) => i % 2 === first),
      count,
    ),
    (file) => ({ x: planes(crop(decode(file), 4), [0, 0, 0], [255, 255, 255]) }),
  );
export const train = () => part(0, 100);
export const test = () => part(1, 50);
