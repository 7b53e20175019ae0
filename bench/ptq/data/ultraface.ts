/** 24 photographs with faces: every second one calibrates; all of them test. */
import { decode, faceFiles, planes, resize } from "../sources/image.js";
import { each } from "../sources/samples.js";

const part = (files: readonly string[]) =>
  each(files, (file) => ({ x: planes(resize(decode(file), 320, 240), [127, 127, 127], [128, 128, 128]) }));
export const train = () => part(faceFiles().filter((_, i) => i % 2 === 0));
export const test = () => part(faceFiles());
