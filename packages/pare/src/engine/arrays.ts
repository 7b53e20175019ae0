/** NDArrays in, onnxruntime tensors out, and back; numbers are never copied here. */
import type { Tensor as OrtTensor, TensorConstructor } from "onnxruntime-common";
import { PareError } from "../graph/error.js";
import type { ElementType } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import type { NDArray, TypedArray } from "./engine.js";

interface ArrayConstructor {
  readonly name: string;
  new (length: number): TypedArray;
  new (buffer: ArrayBufferLike): TypedArray;
}

/** The element types that onnxruntime's JavaScript bindings take, and the arrays that carry them. */
export const arrays: Partial<Record<ElementType, ArrayConstructor>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
};

/** `array` as a tensor of `Tensor`'s making. Throws where type, array and dims disagree; `name` is for the message. */
export function toOrt(Tensor: TensorConstructor, name: string, array: NDArray): OrtTensor {
  const { type, dims, data } = array;
  if (data.length !== sizeOf(dims))
    throw new PareError(
      `input "${name}": shape [${dims}] needs ${sizeOf(dims)} values, the array holds ${data.length}`,
    );
  if (type === "string") {
    if (!Array.isArray(data)) throw new PareError(`input "${name}": a string array must be a list of strings`);
    return new Tensor("string", data, dims);
  }
  const wanted = arrays[type];
  if (!wanted)
    throw new PareError(`input "${name}": onnxruntime's JavaScript interface has no tensors of type ${type}`);
  if (!(data instanceof wanted))
    throw new PareError(`input "${name}": ${type} values live in a ${wanted.name}, got a ${data.constructor.name}`);
  const tensor = new Tensor(type as OrtTensor.Type, data as OrtTensor.DataType, dims);
  // Where there is a Float16Array (Node 24), onnxruntime-common wraps the bits in one, and onnxruntime-node cannot read that.
  if (tensor.data !== data) Object.defineProperty(tensor, "data", { value: data });
  return tensor;
}

/** The tensor's values as an NDArray (the same memory). */
export function fromOrt(tensor: OrtTensor): NDArray {
  const { type, dims, data } = tensor;
  if (Array.isArray(data)) return { type: "string", dims, data };
  const array = data as TypedArray;
  if (type === "float16" && !(array instanceof Uint16Array)) {
    const { buffer, byteOffset, length } = array as TypedArray;
    return { type, dims, data: new Uint16Array(buffer, byteOffset, length) };
  }
  return { type: type as ElementType, dims, data: array };
}
