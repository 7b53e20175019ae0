/** IDX files (MNIST's format): bytes enter, an array leaves. */
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { RawArray } from "./raw-array.js";

const readers: Readonly<
  Record<number, { bytes: number; read: (v: DataView, count: number, at: number) => RawArray["data"] }>
> = {
  8: { bytes: 1, read: (v, n, at) => new Uint8Array(v.buffer, v.byteOffset + at, n) },
  9: { bytes: 1, read: (v, n, at) => new Int8Array(v.buffer, v.byteOffset + at, n) },
  11: { bytes: 2, read: (v, n, at) => Int16Array.from({ length: n }, (_, i) => v.getInt16(at + 2 * i)) },
  12: { bytes: 4, read: (v, n, at) => Int32Array.from({ length: n }, (_, i) => v.getInt32(at + 4 * i)) },
  13: { bytes: 4, read: (v, n, at) => Float32Array.from({ length: n }, (_, i) => v.getFloat32(at + 4 * i)) },
  14: { bytes: 8, read: (v, n, at) => Float64Array.from({ length: n }, (_, i) => v.getFloat64(at + 8 * i)) },
};

/** Bytes an IDX file has in all, by its header; null where the header itself is incomplete. Throws where it is no IDX file. */
export function idxSize(head: Uint8Array, name: string): number | null {
  if (head.length < 4) return null;
  const [zero1, zero2, type, rank] = [head[0]!, head[1]!, head[2]!, head[3]!];
  const reader = readers[type];
  if (zero1 || zero2 || !reader || rank < 1 || rank > 8)
    throw new PareError(
      `${name}: not an IDX file: it starts with ${[...head.subarray(0, 4)].join(" ")}, not 0 0 <type> <rank>`,
    );
  if (head.length < 4 + 4 * rank) return null;
  const size = sizeOf(idxDims(head, rank)) * reader.bytes;
  if (!Number.isSafeInteger(size))
    throw new PareError(`${name}: its header declares [${idxDims(head, rank)}]: more than any file holds`);
  return 4 + 4 * rank + size;
}
const idxDims = (head: Uint8Array, rank: number): number[] => {
  const view = new DataView(head.buffer, head.byteOffset);
  return Array.from({ length: rank }, (_, d) => view.getUint32(4 + 4 * d));
};

/** The array of an IDX file. Throws where the file is shorter or longer than its header says. */
export function readIdx(bytes: Uint8Array, name: string): RawArray {
  const size = idxSize(bytes, name);
  if (size === null || bytes.length !== size)
    throw new PareError(
      `${name}: its header declares ${size ?? "more"} bytes, the file has ${bytes.length}: it is ${size !== null && bytes.length > size ? "too long" : "truncated"}`,
    );
  const dims = idxDims(bytes, bytes[3]!);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { dims, data: readers[bytes[2]!]!.read(view, sizeOf(dims), 4 + 4 * dims.length) };
}
