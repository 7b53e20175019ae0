/** The recipes that come with Pare, by name. */
import type { RecipeInput } from "../methods/recipe.js";
import { deepCompression } from "./deep-compression.js";
import { lenet5, lenet5Fast, lenet5Plain, lenet5Twelvefold } from "./lenet-5.js";
import { lenet300, lenet300Fast, lenet300Plain, lenet300Twelvefold } from "./lenet-300-100.js";

const all: readonly RecipeInput[] = [
  deepCompression,
  lenet300,
  lenet300Plain,
  lenet300Twelvefold,
  lenet300Fast,
  lenet5,
  lenet5Plain,
  lenet5Twelvefold,
  lenet5Fast,
];
export const recipes: Readonly<Record<string, RecipeInput>> = Object.fromEntries(all.map((r) => [r.name, r]));
