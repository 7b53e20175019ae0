/** Inputs that are no noise, for any model: photographs for images, recorded speech for rows of floats, text for bytes. */
import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import type { NDArray } from "../../dist/engine/engine.js";
import { feeds, type Graph } from "../../dist/graph/graph.js";
import { randomFeeds } from "./expose.js";
import { sharedData } from "./shared.js";

const side = 32;
let records: Uint8Array | null = null;
/** CIFAR-10's test images, unpacked once: channel c of image i at row y, column x, in 0..1. */
function photographs(): (i: number, c: number, y: number, x: number) => number {
  const all = (records ??= brotliDecompressSync(readFileSync(`${sharedData}cifar10/test_batch.bin.br`)));
  return (i, c, y, x) => all[i * 3073 + 1 + c * 1024 + y * side + x]! / 255;
}
/** Samples of a recording in -1..1. */
function speech(): Float32Array {
  const wav = readFileSync(`${sharedData}audio/fsdd/${"7_jackson_0"}.wav`);
  return Float32Array.from({ length: (wav.length - 44) >> 1 }, (_, i) => wav.readInt16LE(44 + 2 * i) / 32768);
}
const text = (): Uint8Array => readFileSync(`${sharedData}text/tinyshakespeare.txt`).subarray(0, 1 << 16);

/** Images stretched to the input's size and centred about zero, or whatever suits its type and rank; `dims` as for randomFeeds. */
export function realFeeds(graph: Graph, dims: Readonly<Record<string, readonly number[]>>): Record<string, NDArray> {
  const made = randomFeeds(graph, dims, 2);
  for (const { name } of feeds(graph)) {
    const { type, dims: shape, data } = made[name]!;
    const [channels, h, w] = shape.slice(-3) as [number, number, number];
    if (type === "float32" && shape.length === 4) {
      const pixel = photographs();
      const at = (n: number, length: number) => Math.floor((n * side) / length);
      for (let k = 0; k < data.length; k++) {
        const [x, y, c, i] = [
          k % w,
          Math.floor(k / w) % h,
          Math.floor(k / w / h) % channels,
          Math.floor(k / w / h / channels),
        ];
        data[k] = (pixel(i, c % 3, at(y, h), at(x, w)) - 0.45) / 0.25;
      }
    } else if (type === "float32") {
      const sound = speech();
      for (let k = 0; k < data.length; k++) data[k] = 4 * sound[(k + 800) % sound.length]!;
    } else if (type === "uint8" || type === "int32") {
      const bytes = text();
      for (let k = 0; k < data.length; k++) data[k] = bytes[k % bytes.length]!;
    }
  }
  return made;
}
