/** What `compress` is told, made ready: defaults filled in, recipe checked, data split, the folder of saved stages opened. */
import { join } from "node:path";
import type { Dataset } from "../data/dataset.js";
import { split } from "../data/views.js";
import { defaultEngine } from "../engine/default-engine.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import type { Constraints } from "../methods/method.js";
import { parseRecipe, type Recipe, type RecipeInput } from "../methods/recipe.js";
import type { Workplace } from "../methods/tools.js";
import { keyOf, Unfinished } from "../methods/unfinished.js";
import { liftConstants } from "../passes/lift-constants.js";
import { recipes } from "../recipes/recipes.js";
import type { EpochMetrics, TrainProgress } from "../train/options.js";

export interface CompressProgress extends TrainProgress {
  readonly stage: string;
  /** 0-based place of the stage among `stages`. */
  readonly index: number;
  readonly stages: number;
}

export interface CompressOptions {
  /** Training data; without `validation` a tenth of it, at most 5,000, is set aside for choices. Without `test` the report measures on validation data. */
  readonly data: { readonly train: Dataset; readonly validation?: Dataset; readonly test?: Dataset };
  /** Folder for the results; made where it is missing. */
  readonly out: string;
  /** A recipe, or the name of a built-in one; "deep-compression" unless said. */
  readonly recipe?: RecipeInput | string;
  /** 0 unless said. */
  readonly seed?: number;
  /** Allowed rise of the validation error, 0..1: the smallest result within it is kept, and stages try how far they can go. */
  readonly maxDrop?: number;
  /** What the report calls the model; else the graph's own name. */
  readonly model?: string;
  readonly engine?: Engine;
  /** Threads of work; the result does not depend on it. 2 unless said. */
  readonly workers?: number;
  readonly onProgress?: (p: CompressProgress) => void;
  readonly onEpoch?: (stage: string, m: EpochMetrics) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface JobStage {
  readonly name: string;
  /** null: nothing is done, the network as it came is measured. */
  readonly method: string | null;
  readonly options: unknown;
}
export interface Job {
  readonly model: string;
  readonly recipe: Recipe;
  readonly seed: number;
  readonly maxDrop: number | null;
  readonly out: string;
  readonly stages: readonly JobStage[];
  readonly start: { readonly graph: Graph; readonly constraints: Constraints };
  readonly validation: Dataset;
  readonly test: Dataset;
  readonly engine: Engine;
  readonly unfinished: Unfinished;
  readonly log: (line: string) => void;
  workplace(index: number): Workplace;
}

/** The recipe that `options.recipe` means. Throws PareError (usage) for an unknown name and for options that make no sense. */
export function recipeOf(recipe: RecipeInput | string = "deep-compression"): Recipe {
  if (typeof recipe !== "string") return parseRecipe(recipe);
  const known = Object.hasOwn(recipes, recipe) ? recipes[recipe] : undefined;
  if (!known) throw new PareError(`recipe "${recipe}": there are ${Object.keys(recipes).join(", ")}`, "usage");
  return parseRecipe(known, recipe);
}

/** Throws PareError (usage) for options that make no sense. */
export async function jobOf(input: Graph, options: CompressOptions): Promise<Job> {
  const recipe = recipeOf(options.recipe);
  const { seed = 0, maxDrop = null, out, workers = 2, signal } = options;
  if (maxDrop !== null && !(maxDrop >= 0 && maxDrop <= 1))
    throw new PareError(`maxDrop ${maxDrop}: the allowed rise of the error lies between 0 and 1`, "usage");
  const { train, validation, test } = dataOf(options.data, seed);
  const graph = liftConstants(input);
  const key = keyOf(graph, { recipe, seed, maxDrop }, [train, validation, test]);
  const unfinished = new Unfinished(join(out, ".unfinished"), key);
  const engine = options.engine ?? (await defaultEngine());
  const stages: JobStage[] = [
    { name: "dense", method: recipe.dense && "train", options: recipe.dense },
    ...recipe.stages.map((s) => ({ name: s.name ?? s.method, method: s.method, options: s.options })),
  ];
  const log = options.log ?? (() => {});
  return {
    model: options.model ?? (graph.name || "model"),
    recipe,
    seed,
    maxDrop,
    out,
    stages,
    start: { graph, constraints: { masks: new Map(), codebooks: new Map() } },
    validation,
    test,
    engine,
    unfinished,
    log,
    workplace: (index) => ({
      engine,
      data: train,
      validation,
      // Room for a thousand trainings in a stage and a thousand stages in a run.
      seed: seed * 1_000_000 + index * 1000,
      workers,
      signal,
      log,
      onProgress: (p) => options.onProgress?.({ ...p, stage: stages[index]!.name, index, stages: stages.length }),
      onEpoch: (m) => options.onEpoch?.(stages[index]!.name, m),
    }),
  };
}

function dataOf(data: CompressOptions["data"], seed: number) {
  if (data.validation) return { train: data.train, validation: data.validation, test: data.test ?? data.validation };
  const { rest, part } = split(data.train, Math.min(5000, Math.ceil(data.train.length / 10)), seed);
  return { train: rest, validation: part, test: data.test ?? part };
}
