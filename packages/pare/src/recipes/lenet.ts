/** How the LeNets are compressed from untrained weights: a few numbers enter, a recipe leaves. */
import type { RecipeInput } from "../methods/recipe.js";

export interface LeNetSettings {
  /** Epochs of dense training, of pruning, of training shared values. */
  readonly dense: number;
  readonly prune: number;
  readonly share: number;
  /** Cuts, one before each of the first epochs of pruning. */
  readonly steps: number;
  readonly sparsity: number;
  readonly criterion: "lamp" | "fisher";
  /** Samples per gradient run: a whole batch is fastest where the net is small, half a batch where two threads shall share it. */
  readonly microBatch: number;
  /** Images shifted by up to this many pixels in every training. */
  readonly shift: number;
  /** Ratio of dropout while dense. */
  readonly dropout: number;
  /** "k-means": each layer as many values as the rise of the loss allows; "price": seven at most, chosen with the coder's prices in mind. */
  readonly sharing: "k-means" | "price";
  /** Allowed rise of the validation loss before shared values are trained. */
  readonly shareRise: number;
}

/** Dense training with dropout; gradual pruning under the dense network's soft targets; few shared values. */
export function lenetRecipe(name: string, about: string, o: LeNetSettings): RecipeInput {
  const adam = { optimizer: "adam", learningRate: 0.001, batchSize: 128, microBatch: o.microBatch, shift: o.shift };
  const student = { ...adam, softTargets: { temperature: 3, weight: 1 }, dropout: 0 };
  return {
    name,
    about,
    dense: { train: { ...adam, optimizer: "adam", epochs: o.dense, softTargets: null, dropout: o.dropout } },
    stages: [
      {
        method: "prune/magnitude",
        name: "prune",
        options: {
          sparsity: o.sparsity,
          criterion: o.criterion,
          steps: o.steps,
          train: { ...student, epochs: o.prune },
        },
      },
      o.sharing === "price"
        ? {
            method: "quantize/rate-distortion",
            name: "rate-distortion",
            options: { values: 7, lossRise: o.shareRise, train: { ...student, epochs: o.share } },
          }
        : {
            method: "quantize/cluster",
            name: "cluster",
            options: { lossRise: o.shareRise, train: { ...student, epochs: o.share } },
          },
    ],
  };
}
