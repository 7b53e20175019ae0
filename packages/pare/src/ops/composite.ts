/** Operators of the domain "pare": gradients that the engine lowers to its best realisation. */
import type { Operator } from "./record.js";

export const compositeOperators: readonly Operator[] = [];
