/** Layers as matrix products: a layer enters; the product leaves, and where its weight's elements lie. */
import type { Layer } from "../analyze/layers.js";
import type { Unrolled } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";

/** null for a layer that is no such product. */
export const unrolled = ({ node, site, input }: Layer): Unrolled | null =>
  input === 1 ? (recordOf(node)?.unroll?.(site, 1) ?? null) : null;

/** Where element (g, o, k) of the matrix lies among the weight's values. */
export const placeIn =
  ({ outputs, inputs, transposed }: Pick<Unrolled, "outputs" | "inputs" | "transposed">) =>
  (group: number, o: number, k: number): number =>
    transposed ? k * outputs + o : (group * outputs + o) * inputs + k;
