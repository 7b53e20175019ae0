/** What a file format yields, and its conversion sample by sample: raw values enter as they are stored, arrays for a graph leave. */
import type { NDArray, TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { ElementType } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import type { Normalization } from "./normalize.js";

/** Values of one field, sample after sample, kept as they were stored. uint8 is pixels: it is delivered as float32, x / 255. */
export interface Column {
  /** The graph input it feeds; null: the only one. */
  readonly name: string | null;
  /** Dims of one sample. Images are c h w. */
  readonly dims: readonly number[];
  readonly data: Exclude<TypedArray, BigUint64Array>;
}

/** One table of samples: columns of equal length, and labels or targets. */
export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly labels?: Int32Array;
  readonly targets?: Column;
  readonly classes?: number;
  /** Names of the classes, where the source has them. */
  readonly classNames?: readonly string[];
}

/** The type a column is delivered in: integers that are not pixels stay what they are where ONNX graphs take them as indices. */
export function deliveredType(column: Column): ElementType {
  if (column.data instanceof Int32Array) return "int32";
  if (column.data instanceof BigInt64Array) return "int64";
  return "float32";
}

/** Samples in a column. Throws where the values do not divide into whole samples. */
export function lengthOf(column: Column): number {
  const size = sizeOf(column.dims);
  if (!Number.isSafeInteger(size) || size < 1)
    throw new PareError(`a sample of shape [${column.dims}] holds no values: every dimension must be at least 1`);
  if (column.data.length % size)
    throw new PareError(
      `${column.data.length} values do not divide into samples of shape [${column.dims}] (${size} values)`,
    );
  return column.data.length / size;
}

/** A function that converts samples `indices` of a column into one array [b, ...dims]; per-channel normalisation (axis 0 of dims) included. */
export function gatherer(column: Column, normalization: Normalization | null): (indices: ArrayLike<number>) => NDArray {
  const { data, dims } = column;
  const size = sizeOf(dims);
  const type = deliveredType(column);
  if (data instanceof Int32Array || data instanceof BigInt64Array) {
    if (normalization) throw new PareError(`integer data of shape [${dims}] cannot be normalized`, "usage");
    return (indices) => {
      const big = data instanceof BigInt64Array;
      const out = big ? new BigInt64Array(indices.length * size) : new Int32Array(indices.length * size);
      for (let i = 0; i < indices.length; i++) {
        const at = indices[i]! * size;
        if (out instanceof BigInt64Array) out.set((data as BigInt64Array).subarray(at, at + size), i * size);
        else out.set((data as Int32Array).subarray(at, at + size), i * size);
      }
      return { type, dims: [indices.length, ...dims], data: out };
    };
  }
  const channels = normalization ? normalization.mean.length : 1;
  if (channels > 1 && dims[0] !== channels)
    throw new PareError(
      `normalization has ${channels} channels, the data's samples are [${dims}] (channels first): give one value or ${dims[0]}`,
      "usage",
    );
  const scale = data instanceof Uint8Array ? 255 : 1;
  const inner = size / channels;
  const affine = (raw: number, c: number): number =>
    normalization ? (raw / scale - normalization.mean[c]!) / normalization.std[c]! : raw / scale;
  const tables =
    data instanceof Uint8Array
      ? Array.from({ length: channels }, (_, c) => Float32Array.from({ length: 256 }, (_, v) => affine(v, c)))
      : null;
  return (indices) => {
    const out = new Float32Array(indices.length * size);
    for (let i = 0; i < indices.length; i++) {
      const from = indices[i]! * size;
      if (!tables && !normalization) out.set(data.subarray(from, from + size), i * size);
      else
        for (let c = 0; c < channels; c++) {
          const [at, to] = [from + c * inner, i * size + c * inner];
          if (tables) lookUp(data as Uint8Array, at, inner, tables[c]!, out, to);
          else for (let k = 0; k < inner; k++) out[to + k] = affine(data[at + k]!, c);
        }
    }
    return { type, dims: [indices.length, ...dims], data: out };
  };
}

/** The hot loop, on its own so that it sees one type of array only. */
function lookUp(data: Uint8Array, at: number, count: number, table: Float32Array, out: Float32Array, to: number): void {
  for (let k = 0; k < count; k++) out[to + k] = table[data[at + k]!]!;
}
