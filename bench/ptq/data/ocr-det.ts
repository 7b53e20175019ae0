/** Pages of text for PP-OCR's detector, 640 x 480: 30 calibrate, 20 others test. */
import { decode, planes } from "../sources/image.js";
import { each } from "../sources/samples.js";
import { pages } from "../sources/text-images.js";

const [mean, deviation] = [
  [123.675, 116.28, 103.53],
  [58.395, 57.12, 57.375],
];
const part = (name: "train" | "test") => each(pages(name), (file) => ({ x: planes(decode(file), mean!, deviation!) }));
export const train = () => part("train");
export const test = () => part("test");
