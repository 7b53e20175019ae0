/** Photographs as networks take them: JPEG and PNG files come in, resized and normalised planes go out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { imageHeader, readImage } from "../../../packages/pare/dist/data/image.js";
import { shared } from "./places.js";

/** Pixels 0..255, planes red, green, blue. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

export function decode(path: string): Image {
  const bytes = new Uint8Array(readFileSync(path));
  const { width, height } = imageHeader(bytes, path);
  return { width, height, data: Float32Array.from(readImage(bytes, 3, path)) };
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((f) => /\.(jpe?g|png)$/.test(f))
    .sort()
    .map((f) => join(folder, f));
export const imageNetFiles = (): string[] => filesIn(shared("images/imagenet256_even"));
export const faceFiles = (): string[] => filesIn(shared("images/faces"));
/** A file's class, which its name starts with. */
export const imageNetLabel = (path: string): number => Number(/(\d+)_n\d+_[^/\\]*$/.exec(path)![1]);

export function crop(
  { width, height, data }: Image,
  size: number,
  x0 = (width - size) >> 1,
  y0 = (height - size) >> 1,
): Image {
  const out = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < size; y++) {
      const from = (c * height + y0 + y) * width + x0;
      out.set(data.subarray(from, from + size), (c * size + y) * size);
    }
  return { width: size, height: size, data: out };
}

/** Bilinear between the centres of pixels, as OpenCV's default. */
export function resize(image: Image, width: number, height: number): Image {
  if (image.width === width && image.height === height) return image;
  const axis = (from: number, to: number) =>
    Array.from({ length: to }, (_, i) => {
      const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
      const low = Math.floor(at);
      return { low, high: Math.min(from - 1, low + 1), part: at - low };
    });
  const [xs, ys] = [axis(image.width, width), axis(image.height, height)];
  const out = new Float32Array(3 * width * height);
  for (let c = 0; c < 3; c++)
    for (const [y, v] of ys.entries()) {
      const [top, bottom] = [(c * image.height + v.low) * image.width, (c * image.height + v.high) * image.width];
      for (const [x, h] of xs.entries()) {
        const a = image.data[top + h.low]! * (1 - h.part) + image.data[top + h.high]! * h.part;
        const b = image.data[bottom + h.low]! * (1 - h.part) + image.data[bottom + h.high]! * h.part;
        out[(c * height + y) * width + x] = a * (1 - v.part) + b * v.part;
      }
    }
  return { width, height, data: out };
}

/** (pixel - mean) / deviation per channel in the network's order of channels: "bgr" swaps first. dims [1, 3, h, w]. */
export function planes(
  { width, height, data }: Image,
  mean: readonly number[],
  deviation: readonly number[],
  order: "rgb" | "bgr" = "rgb",
): { readonly data: Float32Array; readonly dims: readonly number[] } {
  const size = width * height;
  const out = new Float32Array(3 * size);
  for (let c = 0; c < 3; c++) {
    const from = (order === "bgr" ? 2 - c : c) * size;
    for (let i = 0; i < size; i++) out[c * size + i] = (data[from + i]! - mean[c]!) / deviation[c]!;
  }
  return { data: out, dims: [1, 3, height, width] };
}

/** Luma by ITU-R 601, 0..1; dims [1, 1, h, w]. */
export function luma({ width, height, data }: Image): {
  readonly data: Float32Array;
  readonly dims: readonly number[];
} {
  const size = width * height;
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++)
    out[i] = (0.299 * data[i]! + 0.587 * data[size + i]! + 0.114 * data[2 * size + i]!) / 255;
  return { data: out, dims: [1, 1, height, width] };
}
