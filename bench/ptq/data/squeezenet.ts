/** 500 ImageNet photographs for SqueezeNet: every fifth calibrates, 400 test. 224 x 224 from the centre, blue green red minus their means. */
import { crop, decode, imageNetFiles, imageNetLabel, planes } from "../sources/image.js";
import { each } from "../sources/samples.js";

const part = (calibrates: boolean) =>
  each(
    imageNetFiles().filter((_, i) => (i % 5 === 0) === calibrates),
    (file) => ({ x: planes(crop(decode(file), 224), [104, 117, 123], [1, 1, 1], "bgr"), label: imageNetLabel(file) }),
  );
export const train = () => part(true);
export const test = () => part(false);
