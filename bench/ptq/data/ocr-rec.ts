/** Lines of text for PP-OCR's recogniser, 48 pixels high, as wide as they are: 100 calibrate, 80 others test. */
import { decode, planes, resize } from "../sources/image.js";
import { each } from "../sources/samples.js";
import { lines } from "../sources/text-images.js";

const part = (name: "train" | "test") =>
  each(
    lines(name).map((l) => l.file),
    (file) => {
      const image = decode(file);
      const half = [127.5, 127.5, 127.5];
      return { x: planes(resize(image, Math.round((image.width * 48) / image.height), 48), half, half, "bgr") };
    },
  );
export const train = () => part("train");
export const test = () => part("test");
