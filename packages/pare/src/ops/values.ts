/** Small constants as numbers and back, for shapes, axes and shape arithmetic. */
import { PareError } from "../graph/error.js";
import type { ElementType, Tensor } from "../graph/graph.js";
import { byteLengthOf, sizeOf } from "../graph/tensor.js";

/** Largest constant that facets look into: shape arithmetic is tiny, weights are not its business. */
export const smallElements = 4096;

type Read = (v: DataView, i: number) => number;
type Write = (v: DataView, i: number, x: number) => void;
const codecs: Partial<Record<ElementType, { bytes: number; read: Read; write: Write; integer: boolean }>> = {
  float32: {
    bytes: 4,
    read: (v, i) => v.getFloat32(i, true),
    write: (v, i, x) => v.setFloat32(i, x, true),
    integer: false,
  },
  float64: {
    bytes: 8,
    read: (v, i) => v.getFloat64(i, true),
    write: (v, i, x) => v.setFloat64(i, x, true),
    integer: false,
  },
  float16: { bytes: 2, read: (v, i) => halfToNumber(v.getUint16(i, true)), write: refuse, integer: false },
  bfloat16: { bytes: 2, read: (v, i) => bfloatToNumber(v.getUint16(i, true)), write: refuse, integer: false },
  int8: { bytes: 1, read: (v, i) => v.getInt8(i), write: (v, i, x) => v.setInt8(i, x), integer: true },
  uint8: { bytes: 1, read: (v, i) => v.getUint8(i), write: (v, i, x) => v.setUint8(i, x), integer: true },
  bool: {
    bytes: 1,
    read: (v, i) => (v.getUint8(i) ? 1 : 0),
    write: (v, i, x) => v.setUint8(i, x ? 1 : 0),
    integer: true,
  },
  int16: { bytes: 2, read: (v, i) => v.getInt16(i, true), write: (v, i, x) => v.setInt16(i, x, true), integer: true },
  uint16: {
    bytes: 2,
    read: (v, i) => v.getUint16(i, true),
    write: (v, i, x) => v.setUint16(i, x, true),
    integer: true,
  },
  int32: { bytes: 4, read: (v, i) => v.getInt32(i, true), write: (v, i, x) => v.setInt32(i, x, true), integer: true },
  uint32: {
    bytes: 4,
    read: (v, i) => v.getUint32(i, true),
    write: (v, i, x) => v.setUint32(i, x, true),
    integer: true,
  },
  int64: {
    bytes: 8,
    read: (v, i) => Number(v.getBigInt64(i, true)),
    write: (v, i, x) => v.setBigInt64(i, BigInt(x), true),
    integer: true,
  },
  uint64: {
    bytes: 8,
    read: (v, i) => Number(v.getBigUint64(i, true)),
    write: (v, i, x) => v.setBigUint64(i, BigInt(x), true),
    integer: true,
  },
};
function refuse(): never {
  throw new PareError("16-bit floats are read, not written, by shape arithmetic");
}

const halfToNumber = (bits: number): number => {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
};
const bfloatToNumber = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
};

export const isFloat = (type: ElementType): boolean =>
  type === "float32" || type === "float64" || type === "float16" || type === "bfloat16";
export const isInteger = (type: ElementType): boolean => /^u?int\d+$/.test(type);

/** The elements as numbers (bool: 0 or 1; 64-bit integers beyond 2^53 are rounded), or null for types without a number. */
export function numbersOf(t: Tensor): number[] | null {
  const codec = codecs[t.type];
  if (!codec || t.bytes.byteLength < byteLengthOf(t.type, t.dims)) return null;
  const view = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
  return Array.from({ length: sizeOf(t.dims) }, (_, i) => codec.read(view, i * codec.bytes));
}

/** The elements of a small integer constant, or null where there is no tensor. Throws PareError for other types. */
export function intsOf(t: Tensor | null): number[] | null {
  if (!t) return null;
  const values = isInteger(t.type) ? numbersOf(t) : null;
  if (!values) throw new PareError(`expected an integer tensor, got ${t.type} [${t.dims}]`);
  return values;
}

/** A tensor of `type` from numbers; null where a value does not fit it exactly enough to be trusted (an integer beyond 2^53, a 16-bit float). */
export function tensorOf(type: ElementType, dims: readonly number[], values: readonly number[]): Tensor | null {
  const codec = codecs[type];
  if (!codec || codec.write === refuse || values.length !== sizeOf(dims)) return null;
  if (codec.integer && !values.every(Number.isSafeInteger)) return null;
  const bytes = new Uint8Array(values.length * codec.bytes);
  const view = new DataView(bytes.buffer);
  values.forEach((x, i) => {
    codec.write(view, i * codec.bytes, x);
  });
  return { type, dims, bytes };
}
