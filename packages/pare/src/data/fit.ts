/** Data for a model: a dataset and a graph's inputs enter, the same samples under the inputs' names, shapes and types leave. */
import { arrays } from "../engine/arrays.js";
import type { NDArray, TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { float16Bits } from "../graph/float16.js";
import type { Dim, ElementType, Value } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import type { Dataset, Field } from "./dataset.js";

/** How one field of the data becomes one input of the graph. */
export interface Fitting {
  /** The graph's input. */
  readonly name: string;
  readonly type: ElementType;
  /** Dims of one sample as the graph wants them. */
  readonly dims: readonly number[];
  /** Index of the field among the dataset's. */
  readonly field: number;
  /** Whether images c h w are turned into h w c; otherwise the values keep their order. */
  readonly turned: boolean;
  apply(array: NDArray): NDArray;
}

/**
 * One fitting per input of the graph (`feeds(graph)`). Vectors and images of as many values are reshaped ([1,28,28] <-> [784] <-> [28,28]),
 * images c h w go to inputs h w c, types are converted where nothing is lost. Throws where an input has no field or the shapes do not fit:
 * names the input, both shapes and what to do.
 */
export function fittings(dataset: Dataset, inputs: readonly Value[]): Fitting[] {
  return pair(dataset, inputs).map(([field, value]) => ({
    field: dataset.fields.indexOf(field),
    ...adapter(field, value, dataset.name),
  }));
}

/** The dataset with its fields named, shaped and typed as the graph's inputs. Throws as `fittings`. */
export function fit(dataset: Dataset, inputs: readonly Value[]): Dataset {
  const fitted = fittings(dataset, inputs);
  return {
    ...dataset,
    fields: fitted.map(({ name, type, dims }) => ({ name, type, dims })),
    batch(indices) {
      const batch = dataset.batch(indices);
      return { ...batch, inputs: fitted.map((f) => f.apply(batch.inputs[f.field]!)) };
    },
  };
}

/** Each input with its field. */
function pair(dataset: Dataset, inputs: readonly Value[]): [Field, Value][] {
  const { fields, name } = dataset;
  const list = (names: readonly (string | null)[]): string => names.map((n) => n ?? "(unnamed)").join(", ");
  if (!inputs.length) throw new PareError(`the model has no inputs: it takes no data`);
  if (fields.length === 1 && inputs.length === 1) return [[fields[0]!, inputs[0]!]];
  const known = new Set(inputs.map((v) => v.name));
  const extra = fields.find((f) => f.name === null || !known.has(f.name));
  if (extra)
    throw new PareError(
      `${name}: "${extra.name ?? "(unnamed)"}" is no input of the model, whose inputs are ${list(inputs.map((v) => v.name))}: name each array of the data by its input`,
    );
  return inputs.map((value) => {
    const field = fields.find((f) => f.name === value.name);
    if (!field)
      throw new PareError(
        `input "${value.name}" of the model has no data: ${name} holds ${list(fields.map((f) => f.name))}`,
      );
    return [field, value];
  });
}

function adapter(field: Field, value: Value, name: string): Omit<Fitting, "field"> {
  const cast = caster(field.type, value, name);
  const fitted = shapeFor(field.dims, value, `${name} holds samples of`);
  return {
    name: value.name,
    type: value.type,
    dims: fitted.dims,
    turned: fitted.channelsLast,
    apply(array) {
      const data = fitted.channelsLast ? channelsLast(array.data as Float32Array, field.dims) : array.data;
      return { type: value.type, dims: [array.dims[0]!, ...fitted.dims], data: cast(data as TypedArray) };
    },
  };
}

const squeezed = (dims: readonly Dim[]): Dim[] => dims.filter((d) => d !== 1);
const matches = (have: readonly number[], want: readonly Dim[]): boolean =>
  have.length === want.length && want.every((d, i) => typeof d === "string" || d === have[i]);

/** How samples of these dims become what the input wants. */
export function shapeFor(
  dims: readonly number[],
  value: Value,
  /** "the data hold samples of", for the message. */
  theData: string,
): { dims: readonly number[]; channelsLast: boolean } {
  const fitted = shapeOrNull(dims, value.shape);
  if (fitted) return fitted;
  throw new PareError(
    `input "${value.name}" wants [${value.shape!.map((d) => (d === "" ? "?" : d))}], ${theData} [${dims}] (a batch is [n${dims.map((d) => `,${d}`).join("")}]): ${advice(dims, value)}`,
  );
}

/** As `shapeFor`; null where they cannot. */
export function shapeOrNull(
  dims: readonly number[],
  shape: readonly Dim[] | null,
): { dims: readonly number[]; channelsLast: boolean } | null {
  if (shape === null) return { dims, channelsLast: false };
  const want = shape.slice(1);
  if (shape.length > 0) {
    if (matches(dims, want)) return { dims, channelsLast: false };
    const fixed = want.every((d) => typeof d === "number");
    if (isImage(dims) && want.length === 3 && !few(want[0]!) && matches([dims[1]!, dims[2]!, dims[0]!], want))
      return { dims: [dims[1]!, dims[2]!, dims[0]!], channelsLast: true };
    const vector = want.length === 1 || dims.length === 1;
    if (fixed && sizeOf(want) === sizeOf(dims) && (vector || String(squeezed(dims)) === String(squeezed(want))))
      return { dims: want, channelsLast: false };
    if (want.length === 1 && typeof want[0] === "string") return { dims: [sizeOf(dims)], channelsLast: false };
  }
  return null;
}

const few = (d: Dim): boolean => d === 1 || d === 3 || d === 4;
const isImage = (dims: readonly number[]): boolean => dims.length === 3 && few(dims[0]!) && !few(dims[2]!);

function advice(dims: readonly number[], { shape }: Value): string {
  const want = shape!.slice(1);
  if (!shape!.length || matches(dims, shape!))
    return "the input has no batch axis: export the model with one (dynamic axes)";
  if (want.length === 3 && dims.length === 3) {
    if (few(dims[2]!) && matches([dims[2]!, dims[0]!, dims[1]!], want))
      return "the data has its channels last: say so with --layout nhwc";
    const [c, wantC] = [dims[0]!, want[0]!];
    if (few(c) && few(wantC) && c !== wantC)
      return `the data has ${c} channel${c > 1 ? "s" : ""} per pixel, the model wants ${wantC}: use other data, or a module that converts it (--data ./convert.mjs)`;
    return `the images must have ${want.slice(1).join(" x ")} pixels: resize them, or use a module that does (--data ./resize.mjs)`;
  }
  if (want.every((d) => typeof d === "number") && sizeOf(want) === sizeOf(dims))
    return "both hold as many values, but in other axes: reshape or transpose them in a module (--data ./reshape.mjs)";
  if (want.every((d) => typeof d === "number"))
    return `a sample holds ${sizeOf(dims)} values, the input takes ${sizeOf(want)}: use other data, or a module that converts it (--data ./convert.mjs)`;
  return `the data has ${dims.length} axes per sample, the input ${want.length}: reshape the data, or use a module that does (--data ./reshape.mjs)`;
}

/** n c h w -> n h w c. */
export function channelsLast(data: Float32Array, [c, h, w]: readonly number[]): Float32Array {
  const [out, hw] = [data.slice(), h! * w!];
  for (let at = 0; at < data.length; at += c! * hw)
    for (let k = 0; k < c!; k++) for (let p = 0; p < hw; p++) out[at + p * c! + k] = data[at + k * hw + p]!;
  return out;
}

/** Converts values to the input's element type; whole numbers only where it takes whole numbers. */
export function caster(
  from: ElementType,
  { type, name: input }: Value,
  name: string,
): (data: TypedArray) => TypedArray {
  if (from === type) return (data) => data;
  const refuse = (v: number | bigint): PareError =>
    new PareError(`input "${input}" takes ${type}, ${name} holds ${v}: it does not fit; use data of that type`);
  if (type === "float16") return (data) => Uint16Array.from(data as Float32Array, (v) => float16Bits(Number(v)));
  if (type === "int64" || type === "uint64") {
    return (data) => {
      const out = type === "int64" ? new BigInt64Array(data.length) : new BigUint64Array(data.length);
      for (let i = 0; i < data.length; i++) {
        const v = data[i]!;
        if (!Number.isInteger(Number(v)) || (type === "uint64" && v < 0)) throw refuse(v);
        out[i] = BigInt(v);
      }
      return out;
    };
  }
  const ArrayOf = arrays[type];
  if (!ArrayOf) throw new PareError(`input "${input}" takes ${type}: Pare has no data of that type`);
  return (data) => {
    const out = new ArrayOf(data.length) as Float32Array;
    const exact = type !== "float32" && type !== "float64";
    for (let i = 0; i < data.length; i++) {
      out[i] = Number(data[i]!);
      if (exact && out[i] !== Number(data[i]!)) throw refuse(data[i]!);
    }
    return out;
  };
}
