/** What every command prints with --json, as zod objects; `npm run docs:schemas` writes them to packages/pare/schemas. */
import { z } from "zod";
import { inspection } from "../analyze/inspect.js";
import { comparison } from "../compare/schema.js";
import { explanation } from "../explain.js";
import { recipeSchema } from "../methods/recipe.js";
import { quantization } from "../quantize/schema.js";
import { reportFacts, runFacts } from "../report/facts.js";

const count = z.number().int().nonnegative();
const rate = z.number().min(0).max(1);
/** NaN becomes null in JSON: data without labels. */
const maybe = <T extends z.ZodType>(schema: T) => schema.nullable();
export const metrics = z.object({
  samples: count,
  error: maybe(rate),
  top1: maybe(rate),
  top5: maybe(rate),
  loss: maybe(z.number()),
});

export const timing = z.object({
  runs: count,
  medianMs: z.array(z.number().nonnegative()).min(1).max(2),
  ratio: z.number().nullable().describe("median of a / median of b; null for one model"),
});

export const packing = z.object({
  input: z.string(),
  output: z.string(),
  sizeBytes: z.tuple([count, count]),
  ratio: z.number(),
});

export const training = z.object({
  model: z.string(),
  seed: z.number().int(),
  epochs: z.array(
    z.object({
      epoch: count,
      learningRate: z.number(),
      loss: z.number(),
      seconds: z.number(),
      validation: metrics.optional(),
    }),
  ),
  validation: metrics,
  output: z.string(),
});

export const simplification = z.object({
  input: z.string(),
  output: z.string(),
  nodes: z.tuple([count, count]),
  sizeBytes: z.tuple([count, count]),
  /** Nodes of each operator. */
  operators: z.record(z.string(), z.tuple([count, count])),
  opset: count,
  notes: z.array(z.string()),
  seconds: z.number().nonnegative(),
});

const pair = z.tuple([count, count]).describe("before, after");
export const pruning = z.object({
  model: z.string(),
  method: z.enum(["magnitude", "sparsegpt", "structured"]),
  output: z.string(),
  parameters: pair,
  nonzero: pair,
  macs: pair,
  sizeBytes: pair,
  latencyMs: z
    .tuple([z.number(), z.number()])
    .nullable()
    .describe("median of one run; null where an input's dims are open"),
  widths: z.array(z.object({ layer: z.string(), before: count, after: count })),
  error: z.tuple([maybe(rate), maybe(rate)]).describe("on the validation part; null without labelled data"),
  notes: z.array(z.object({ node: z.string(), what: z.enum(["done", "skipped"]), why: z.string() })),
});

export const factorizing = z.object({
  model: z.string(),
  method: z.enum(["auto", "svd", "tucker2", "spatial", "cp", "separable"]),
  output: z.string(),
  parameters: pair,
  macs: pair,
  sizeBytes: pair,
  latencyMs: z
    .tuple([z.number(), z.number()])
    .nullable()
    .describe("median of one run; null where an input's dims are open"),
  layers: z.array(
    z.object({
      node: z.string(),
      method: z.enum(["svd", "tucker2", "spatial", "cp", "separable"]),
      ranks: z.array(count),
      macs: pair,
      parameters: pair,
      error: z.number().describe("mean squared error of the layer's answers as a share of their mean square"),
    }),
  ),
  error: z.tuple([maybe(rate), maybe(rate)]).describe("on the validation part; null without labelled data"),
  notes: z.array(z.object({ node: z.string(), what: z.enum(["done", "skipped"]), why: z.string() })),
});

/** File name -> schema. */
export const schemas: Readonly<Record<string, z.ZodType>> = {
  compress: runFacts,
  demo: runFacts,
  report: reportFacts,
  eval: metrics,
  inspect: inspection,
  bench: timing,
  pack: packing,
  unpack: packing,
  train: training,
  simplify: simplification,
  quantize: quantization,
  compare: comparison,
  prune: pruning,
  factorize: factorizing,
  explain: explanation,
};

/** File name -> text of the JSON schema, as published; the recipe's own among them. */
export function schemaTexts(): Record<string, string> {
  const documents = Object.entries(schemas).map(([name, schema]) => [name, z.toJSONSchema(schema)] as const);
  return Object.fromEntries(
    [...documents, ["recipe", recipeSchema()] as const].map(([name, json]) => [
      name,
      `${JSON.stringify(json, null, 2)}\n`,
    ]),
  );
}
