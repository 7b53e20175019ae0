/** Layers as matrix products: a graph under construction and one of its layers enter; the columns that the weight multiplies leave. */
import type { Layer } from "../analyze/layers.js";
import type { Emitter } from "../graph/emit.js";
import type { Unrolled } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";

/** Appends the nodes of a layer's matrices, of about one column in `every`; null for a layer that is no such product. */
export function unroll(g: Emitter, { node, site, input }: Layer, every = 1): Unrolled | null {
  if (input !== 1) return null;
  return recordOf(node)?.unroll?.(g, site, node.inputs[0]!, node.outputs[0]!, every) ?? null;
}

/** Where element (g, o, k) of the matrix lies among the weight's values. */
export const placeIn =
  ({ outputs, inputs, transposed }: Pick<Unrolled, "outputs" | "inputs" | "transposed">) =>
  (group: number, o: number, k: number): number =>
    transposed ? k * outputs + o : (group * outputs + o) * inputs + k;
