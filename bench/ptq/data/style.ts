/** ImageNet photographs, 720 x 720 in 0..255, for style transfer: 8 calibrate, 4 others test. */
import { decode, imageNetFiles, planes, resize } from "../sources/image.js";
import { each, spread } from "../sources/samples.js";

const part = (first: number, count: number) =>
  each(
    spread(
      imageNetFiles().filter((_, i) => i % 2 === first),
      count,
    ),
    (file) => ({ x: planes(resize(decode(file), 720, 720), [0, 0, 0], [1, 1, 1], "bgr") }),
  );
export const train = () => part(0, 8);
export const test = () => part(1, 4);
