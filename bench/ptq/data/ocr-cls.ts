/** Lines of text for PP-OCR's classifier of angles, 48 x 192: 100 calibrate, 80 others test. */
import { decode, planes, resize } from "../sources/image.js";
import { each } from "../sources/samples.js";
import { lines } from "../sources/text-images.js";

const half = [127.5, 127.5, 127.5];
const part = (name: "train" | "test") =>
  each(
    lines(name).map((l) => l.file),
    (file) => ({ x: planes(resize(decode(file), 192, 48), half, half, "bgr") }),
  );
export const train = () => part("train");
export const test = () => part("test");
