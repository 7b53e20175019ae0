/** Every operator that moves, picks, repeats or carries elements, and control flow, family by family. */
import type { Operator } from "./record.js";

export const structureOperators: readonly (readonly Operator[])[] = [];
