/** A recipe: stages in order, each a method and its options. JSON enters; a checked recipe, or an error that says where, leaves. */
import { z } from "zod";
import { PareError } from "../graph/error.js";
import type { Method } from "./method.js";
import { methods } from "./registry.js";
import { dense } from "./train.js";

export interface RecipeStage {
  readonly method: string;
  readonly name?: string | undefined;
  /** As the method's own options say. */
  readonly options?: unknown;
}
const stage = ({ id, paper, options }: Method) =>
  z.strictObject({
    method: z.literal(id),
    name: z.string().optional().describe("what the report calls the stage; else the method's id"),
    options: options.prefault({}).describe(paper),
  });
const [first, ...others] = methods.map(stage) as [ReturnType<typeof stage>, ...ReturnType<typeof stage>[]];
const anyStage: z.ZodType<RecipeStage, RecipeStage> = z.discriminatedUnion("method", [first, ...others]) as never;

export const recipe = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().describe("what the report calls the recipe"),
  about: z.string().default("").describe("what it is for"),
  dense: dense.options
    .nullable()
    .default(null)
    .describe("training of the dense network, for one without trained weights"),
  stages: z.array(anyStage).min(1),
});
/** As it is written: defaults left out. */
export type RecipeInput = z.input<typeof recipe>;
export type Recipe = z.output<typeof recipe>;

/** Throws PareError (usage) that names the place and what is wrong there. */
export function parseRecipe(value: unknown, from = "recipe"): Recipe {
  const result = recipe.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue!.path.map((p) => (typeof p === "number" ? `[${p}]` : `.${String(p)}`)).join("");
  throw new PareError(`${from}${place}: ${issue!.message}`, "usage");
}

/** The published JSON schema of recipes. */
export const recipeSchema = (): unknown => z.toJSONSchema(recipe, { io: "input", target: "draft-2020-12" });
