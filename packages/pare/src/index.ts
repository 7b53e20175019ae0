/** The library's whole public face. */
export { type Differentiated, differentiate } from "./autodiff/differentiate.js";
export type { Finished as CompressResult } from "./compress/finish.js";
export type { CompressOptions, CompressProgress } from "./compress/job.js";
export { compress } from "./compress.js";
export { check } from "./graph/check.js";
export { fromBytes } from "./graph/decode.js";
export { toBytes } from "./graph/encode.js";
export { PareError } from "./graph/error.js";
export { read, write } from "./graph/file.js";
export type { Graph, Node, Shape, Tensor, Value } from "./graph/graph.js";
export { print } from "./graph/print.js";
export { parseRecipe, type RecipeInput } from "./methods/recipe.js";
export { recipes } from "./recipes/recipes.js";
export { type EvaluateOptions, evaluate } from "./train/evaluate.js";
export type { EpochMetrics, Metrics, TrainOptions, TrainProgress, TrainResult } from "./train/options.js";
export { train } from "./train/train.js";
