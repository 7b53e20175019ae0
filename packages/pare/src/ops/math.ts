/** Every operator that computes on numbers, family by family. */
import type { Operator } from "./record.js";

export const mathOperators: readonly (readonly Operator[])[] = [];
