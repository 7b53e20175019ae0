/** Which graph input each field of a dataset feeds, and with which shape; shared by training and evaluation. */
import type { Dataset, Field } from "../data/dataset.js";
import { PareError } from "../graph/error.js";
import { type ElementType, feeds, type Graph, type Value } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";

export interface FieldFeed {
  readonly name: string;
  /** The graph's; float16 where the data is float32. */
  readonly type: ElementType;
  /** Dims of one sample as the graph wants them: the field's values in the same order. */
  readonly dims: readonly number[];
}

/**
 * One feed per field, in the fields' order. A shape may differ from the graph's by axes of length 1 or by flattening; symbolic axes take
 * the data's length. Throws PareError naming the input, both shapes and what to do.
 */
export function fieldFeeds(graph: Graph, data: Dataset): FieldFeed[] {
  const inputs = feeds(graph);
  const result = data.fields.map((field) => feedOf(inputs, field, data.name));
  const fed = new Set(result.map((f) => f.name));
  const left = inputs.find((v) => !fed.has(v.name));
  if (left)
    throw new PareError(
      `input "${left.name}" of the graph is not fed: data "${data.name}" has ${data.fields.map((f) => `"${f.name ?? "its one input"}"`).join(", ")}; give it a field of that name`,
    );
  return result;
}

function feedOf(inputs: readonly Value[], field: Field, data: string): FieldFeed {
  const input = field.name === null && inputs.length === 1 ? inputs[0] : inputs.find((v) => v.name === field.name);
  if (!input)
    throw new PareError(
      `data "${data}" feeds ${field.name === null ? "one unnamed input" : `"${field.name}"`}, the graph's inputs are ${inputs.map((v) => `"${v.name}"`).join(", ") || "none"}: name the data's fields after them`,
    );
  // Images and other floats come as float32; a model of half precision gets them rounded.
  if (input.type !== field.type && !(input.type === "float16" && field.type === "float32"))
    throw new PareError(`input "${input.name}" is ${input.type}, data "${data}" is ${field.type}`);
  const wanted = input.shape?.slice(1) ?? field.dims;
  const sameRank = wanted.length === field.dims.length;
  const filled = wanted.map((d, i) => (typeof d === "number" ? d : sameRank ? field.dims[i]! : -1));
  const squeezed = (dims: readonly number[]): string => dims.filter((d) => d !== 1).join();
  const fits =
    !filled.includes(-1) &&
    sizeOf(filled) === sizeOf(field.dims) &&
    (squeezed(filled) === squeezed(field.dims) || filled.length === 1 || field.dims.length === 1);
  if (!fits) {
    const text = (dims: readonly (number | string)[]): string => `[${["n", ...dims].map((d) => d || "?")}]`;
    throw new PareError(
      `input "${input.name}" has shape ${text(input.shape?.slice(1) ?? [])}, data "${data}" has ${text(field.dims)}: choose data of that shape (--data), or a model for this one`,
    );
  }
  return { name: input.name, type: input.type, dims: filled };
}
