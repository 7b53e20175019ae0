/** The library's whole public face. */
export { type Differentiated, differentiate } from "./autodiff/differentiate.js";
export { check } from "./graph/check.js";
export { fromBytes } from "./graph/decode.js";
export { toBytes } from "./graph/encode.js";
export { PareError } from "./graph/error.js";
export { read, write } from "./graph/file.js";
export type { Graph, Node, Shape, Tensor, Value } from "./graph/graph.js";
export { print } from "./graph/print.js";
export { type EvaluateOptions, evaluate } from "./train/evaluate.js";
export type { EpochMetrics, Metrics, TrainOptions, TrainProgress, TrainResult } from "./train/options.js";
export { train } from "./train/train.js";
