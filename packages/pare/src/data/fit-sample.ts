/** One sample's values and one input of a graph enter, the array to feed for one run leaves; shapes may differ from sample to sample. */
import { arrays } from "../engine/arrays.js";
import type { NDArray, TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Dim, ElementType, Value } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { caster, channelsLast, shapeFor, shapeOrNull } from "./fit.js";
import type { Normalization } from "./normalize.js";

export interface FitSampleOptions {
  /** Per channel (the axis that images have first), on 0..1 pixels; for inputs of real numbers. */
  readonly normalization?: Normalization | null;
  /** Whether the values have no batch axis for sure; otherwise an input of unknown rank takes values that start with an axis of 1 as they are. */
  readonly single?: boolean;
  /** Names data and sample at the head of messages. */
  readonly where: string;
}

/** `array` as the graph takes it, and whether its first axis is a batch axis of one: fixed by the graph, or added here. */
export interface FittedSample {
  readonly array: NDArray;
  readonly batched: boolean;
}

const isOpen = (d: Dim): boolean => typeof d === "string" || d < 0;
const real = (type: ElementType): boolean => type === "float32" || type === "float16" || type === "float64";

/**
 * Values of the input's own rank are taken as they are, values of one axis less get a batch axis (of 1, or the sample repeated to the batch
 * that the graph fixes); of an input of unknown rank, those without a leading axis of 1 do. Else as `fittings` does it: vectors and images of as many values are reshaped, c h w goes to h w c. Uint8Array is
 * pixels (x / 255) where the input takes real numbers. Throws where shape or type do not fit or a value is not finite: names the input, both
 * shapes and what to do.
 */
export function fitSample(
  { dims, data }: { readonly dims: readonly number[]; readonly data: TypedArray },
  value: Value,
  options: FitSampleOptions,
): FittedSample {
  const { where } = options;
  const { shape } = value;
  const whole = shape ? dims.length === shape.length : !options.single && dims.length > 1 && dims[0] === 1;
  const [type, values] = numbersFor(value, dims, data, whole ? 1 : 0, options);
  const cast = caster(type, value, where);
  if (whole && (!shape || shape.every((d, i) => isOpen(d) || d === dims[i])))
    return { array: { type: value.type, dims, data: cast(values) }, batched: shape?.[0] === 1 };
  // A number, or a flat list for a shape that the graph fixes.
  if (shape?.every((d) => !isOpen(d)) && dims.length < 2 && sizeOf(shape as number[]) === sizeOf(dims))
    return { array: { type: value.type, dims: shape as number[], data: cast(values) }, batched: shape[0] === 1 };
  const opened = { ...value, shape: shape?.map((d) => (typeof d === "number" && d < 0 ? "" : d)) ?? null };
  // Dropping axes of 1 could help; where it does not, the sample has a batch axis of its own.
  if (shape && whole && dims.length > 1 && !(dims.includes(1) && shapeOrNull(dims, opened.shape)))
    throw new PareError(
      `${where}: input "${value.name}" wants [${text(opened.shape!)}], the sample is [${dims}]: yield arrays of that shape (or without the first axis), or resize them in a data module`,
    );
  const fitted = shapeFor(dims, opened, `${where} is`);
  const turned = fitted.channelsLast ? channelsLast(values as Float32Array, dims) : values;
  const one = cast(turned);
  const batch = shape && !isOpen(shape[0] ?? "") ? (shape[0] as number) : 1;
  return { array: { type: value.type, dims: [batch, ...fitted.dims], data: repeat(one, batch) }, batched: batch === 1 };
}

const text = (shape: readonly Dim[]): string => shape.map((d) => (d === "" ? "?" : d)).join(",");

/** The values and their type before they are cast to the input's; checked to be finite. `axis`: of the channels. */
function numbersFor(
  value: Value,
  dims: readonly number[],
  data: TypedArray,
  axis: number,
  { normalization, where }: FitSampleOptions,
): [ElementType, TypedArray] {
  const type = typeOf(data);
  if (!real(value.type)) {
    checkFinite(data, value, where);
    return [type, data];
  }
  const out = data instanceof Float64Array ? new Float64Array(data.length) : new Float32Array(data.length);
  const scale = data instanceof Uint8Array ? 1 / 255 : 1;
  if (!normalization && scale === 1 && data.constructor === out.constructor) {
    checkFinite(data, value, where);
    return [type, data];
  }
  const channels = normalization?.mean.length ?? 1;
  if (channels > 1 && dims[axis] !== channels)
    throw new PareError(
      `${where}: normalization has ${channels} channels, the sample is [${dims}] (channels first): give one value or ${dims[axis] ?? 1}`,
      "usage",
    );
  const inner = sizeOf(dims.slice(axis + 1));
  for (let i = 0; i < data.length; i++) {
    const c = channels > 1 ? Math.floor(i / inner) % channels : 0;
    const x = Number(data[i]!) * scale;
    out[i] = normalization ? (x - normalization.mean[c]!) / normalization.std[c]! : x;
  }
  checkFinite(out, value, where);
  return [out instanceof Float64Array ? "float64" : "float32", out];
}

function checkFinite(data: TypedArray, { name }: Value, where: string): void {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return;
  for (let i = 0; i < data.length; i++)
    if (!Number.isFinite(data[i]!))
      throw new PareError(
        `${where}: input "${name}" holds ${data[i]} (element ${i}): every value must be finite: mend or leave out the sample`,
      );
}

function typeOf(data: TypedArray): ElementType {
  const found = Object.entries(arrays).find(
    ([type, ArrayOf]) => type !== "float16" && type !== "bool" && data instanceof ArrayOf,
  );
  return found![0] as ElementType;
}

function repeat(data: TypedArray, times: number): TypedArray {
  if (times === 1) return data;
  const out = new (data.constructor as new (n: number) => Float32Array)(data.length * times);
  for (let i = 0; i < times; i++) out.set(data as Float32Array, i * data.length);
  return out;
}
