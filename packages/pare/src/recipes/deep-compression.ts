/** The default: pruning, shared values and entropy coding for a trained model of any kind. */
import type { RecipeInput } from "../methods/recipe.js";

const train = { optimizer: "sgd", learningRate: 0.01, softTargets: { temperature: 3, weight: 0.7 } } as const;

export const deepCompression: RecipeInput = {
  name: "deep-compression",
  about: "A trained model of any kind: prune 80 % of the weights step by step, share few values per layer, pack.",
  stages: [
    { method: "prune/magnitude", name: "prune", options: { sparsity: 0.8, criterion: "lamp", steps: 6, train } },
    {
      method: "quantize/cluster",
      name: "cluster",
      options: { lossRise: 0.01, train: { ...train, optimizer: "adam", learningRate: 0.0005, epochs: 2 } },
    },
  ],
};
