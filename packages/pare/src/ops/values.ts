/** Small constants as numbers and back, for shape arithmetic. Tensor in, number[] out. */
import type { ElementType, Tensor } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";

/** Folding stops here: shape arithmetic and small tables, never weights (a hostile ConstantOfShape may ask for terabytes). */
export const foldLimit = 1 << 16;
export const foldable = (dims: readonly number[]): boolean =>
  dims.every((d) => Number.isInteger(d) && d >= 0) && sizeOf(dims) <= foldLimit;

type Get = (v: DataView, i: number) => number;
type Set = (v: DataView, i: number, x: number) => void;
const integer = (x: number, bits: number): bigint => {
  if (Number.isNaN(x)) return 0n;
  const top = 2 ** (bits - 1);
  if (x >= top) return (1n << BigInt(bits - 1)) - 1n;
  return x <= -top ? -(1n << BigInt(bits - 1)) : BigInt(Math.trunc(x));
};
const codecs: Partial<Record<ElementType, { width: number; get: Get; set: Set }>> = {
  float32: { width: 4, get: (v, i) => v.getFloat32(i, true), set: (v, i, x) => v.setFloat32(i, x, true) },
  float64: { width: 8, get: (v, i) => v.getFloat64(i, true), set: (v, i, x) => v.setFloat64(i, x, true) },
  int8: { width: 1, get: (v, i) => v.getInt8(i), set: (v, i, x) => v.setInt8(i, x) },
  uint8: { width: 1, get: (v, i) => v.getUint8(i), set: (v, i, x) => v.setUint8(i, x) },
  bool: { width: 1, get: (v, i) => v.getUint8(i), set: (v, i, x) => v.setUint8(i, x ? 1 : 0) },
  int16: { width: 2, get: (v, i) => v.getInt16(i, true), set: (v, i, x) => v.setInt16(i, x, true) },
  uint16: { width: 2, get: (v, i) => v.getUint16(i, true), set: (v, i, x) => v.setUint16(i, x, true) },
  int32: { width: 4, get: (v, i) => v.getInt32(i, true), set: (v, i, x) => v.setInt32(i, x, true) },
  uint32: { width: 4, get: (v, i) => v.getUint32(i, true), set: (v, i, x) => v.setUint32(i, x, true) },
  // Beyond 2^53 numbers round: INT64_MAX ("to the end") stays INT64_MAX on the way back.
  int64: {
    width: 8,
    get: (v, i) => Number(v.getBigInt64(i, true)),
    set: (v, i, x) => v.setBigInt64(i, integer(x, 64), true),
  },
  uint64: {
    width: 8,
    get: (v, i) => Number(v.getBigUint64(i, true)),
    set: (v, i, x) => v.setBigUint64(i, BigInt(Math.trunc(x)), true),
  },
};

/** The elements of a small tensor as numbers; null for strings, 4-bit, 8-bit and half floats, and for more than `foldLimit` elements. */
export function numbersOf(t: Tensor | null): number[] | null {
  const codec = t && codecs[t.type];
  if (!codec || sizeOf(t.dims) > foldLimit || t.bytes.byteLength < sizeOf(t.dims) * codec.width) return null;
  const view = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
  return Array.from({ length: sizeOf(t.dims) }, (_, i) => codec.get(view, i * codec.width));
}

/** A tensor of these elements, rounded as the type asks; null where the type has no plain number. */
export function tensorOf(type: ElementType, values: readonly number[], dims: readonly number[]): Tensor | null {
  const codec = codecs[type];
  if (!codec) return null;
  const bytes = new Uint8Array(values.length * codec.width);
  const view = new DataView(bytes.buffer);
  values.forEach((x, i) => {
    codec.set(view, i * codec.width, x);
  });
  return { type, dims, bytes };
}
