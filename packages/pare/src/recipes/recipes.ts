/** The recipes that come with Pare, by name. */
import type { RecipeInput } from "../methods/recipe.js";
import { deepCompression } from "./deep-compression.js";
import { lenet5, lenet5Fast } from "./lenet-5.js";
import { lenet300, lenet300Fast, lenet300Plain } from "./lenet-300-100.js";

export const recipes: Readonly<Record<string, RecipeInput>> = Object.fromEntries(
  [deepCompression, lenet300, lenet300Plain, lenet300Fast, lenet5, lenet5Fast].map((r) => [r.name, r]),
);
