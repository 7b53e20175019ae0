/** A graph with composite nodes of domain "pare" comes in; the same computation in plain ONNX, correct on every engine, goes out. */

import type { Graph } from "../graph/graph.js";
import { type Lowering, lowerWith } from "./lower.js";
import { maxPoolGrad, reluGrad } from "./plain/activation.js";
import { batchNormTraining, batchNormTrainingGrad } from "./plain/batch-norm.js";
import { convInputGrad, convWeightGrad } from "./plain/convolution.js";

/** Plain realisations by composite operator. */
export const plainLowerings: Readonly<Record<string, Lowering>> = {
  ConvInputGrad: convInputGrad,
  ConvWeightGrad: convWeightGrad,
  ReluGrad: reluGrad,
  MaxPoolGrad: maxPoolGrad,
  BatchNormTraining: batchNormTraining,
  BatchNormTrainingGrad: batchNormTrainingGrad,
};

/** Replaces every composite node by standard operators; the graph itself where it has none. Throws PareError for an unknown composite or shapes that are not fixed. */
export const lowerPlain = (graph: Graph): Graph => lowerWith(graph, plainLowerings);
