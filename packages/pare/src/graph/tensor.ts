/** Tensors from and to typed arrays. Bytes in, numbers out. */
import { PareError } from "./error.js";
import type { ElementType, Int, Tensor } from "./graph.js";

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, d) => product * d, 1);

/** Bits per element; 0 for strings and undefined. */
export const bitsOf: Readonly<Record<ElementType, number>> = {
  undefined: 0,
  string: 0,
  float32: 32,
  float64: 64,
  float16: 16,
  bfloat16: 16,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  uint32: 32,
  int64: 64,
  uint64: 64,
  bool: 8,
  complex64: 64,
  complex128: 128,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  float8e8m0: 8,
  uint4: 4,
  int4: 4,
  float4e2m1: 4,
  uint2: 2,
  int2: 2,
  float6e2m3: 6,
  float6e3m2: 6,
};

/** TensorProto.DataType by number. */
const dataTypes: readonly ElementType[] = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1",
  "float8e8m0",
  "uint2",
  "int2",
  "float6e2m3",
  "float6e3m2",
];
export const dataTypeNumber = (type: ElementType): number => dataTypes.indexOf(type);
/** The type of a TensorProto.DataType number; null for one that this version does not know. */
export const elementType = (number: number): ElementType | null => dataTypes[number] ?? null;

export const byteLengthOf = (type: ElementType, dims: readonly number[]): number =>
  Math.ceil((sizeOf(dims) * bitsOf[type]) / 8);

const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** float32 tensor over `values` (shared, not copied, when it is a Float32Array). */
export function floats(values: Float32Array | readonly number[], dims: readonly number[]): Tensor {
  const data = values instanceof Float32Array ? values : Float32Array.from(values);
  if (data.length !== sizeOf(dims))
    throw new PareError(`tensor of shape [${dims}] needs ${sizeOf(dims)} values, got ${data.length}`);
  return { type: "float32", dims, bytes: bytesOf(data) };
}
/** int64 tensor; a 1-D tensor unless `dims` says otherwise. */
export function int64s(values: readonly Int[], dims: readonly number[] = [values.length]): Tensor {
  return { type: "int64", dims, bytes: bytesOf(BigInt64Array.from(values, BigInt)) };
}

/** The values of a float32 tensor: a view of its bytes where they are aligned, else a copy. Do not write into it. */
export function float32sOf(t: Tensor): Float32Array {
  if (t.type !== "float32") throw new PareError(`expected a float32 tensor, got ${t.type} [${t.dims}]`);
  const { bytes } = t;
  if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(bytes.slice().buffer);
}
