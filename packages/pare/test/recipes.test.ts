import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRecipe } from "../dist/methods/recipe.js";
import { recipes } from "../dist/recipes/recipes.js";

test("every built-in recipe parses, and parses to itself when its defaults are spelled out", () => {
  for (const [name, recipe] of Object.entries(recipes)) {
    const full = parseRecipe(recipe, name);
    assert.equal(full.name, name);
    assert.deepEqual(parseRecipe(JSON.parse(JSON.stringify(full)), name), full);
  }
});
