/** A tensor's bytes -> numbers. */
import { FormatError } from "./error.js";
import { type ElementType, elementBits, elements, type Tensor } from "./model.js";

type View = new (
  buffer: ArrayBuffer,
) =>
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
const views: Partial<Record<ElementType, View>> = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
};

/**
 * A copy of the values of a dense tensor. Types that JavaScript lacks come as bit patterns: 16-bit floats in a Uint16Array, all narrower types (bool too) in
 * a Uint8Array, as packed as they are. Throws FormatError for strings.
 */
export function typedArray(t: Tensor): InstanceType<View> {
  if (t.strings) throw new FormatError("strings are not numbers", `tensor [${t.dims}]`);
  const bits = elementBits(t.type);
  const view =
    views[t.type] ?? (bits === 16 ? Uint16Array : bits > 64 ? Float64Array : bits === 64 ? Float32Array : Uint8Array);
  const bytes = new Uint8Array(t.bytes);
  if (bits >= 8 && bytes.length * 8 !== elements(t.dims) * bits)
    throw new FormatError(
      `${bytes.length} bytes are not ${elements(t.dims)} elements of ${bits} bits`,
      `tensor [${t.dims}]`,
    );
  return new view(bytes.buffer);
}
