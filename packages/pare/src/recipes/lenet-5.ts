/** LeNet-5 (20-50-500-10) on MNIST, from untrained weights. */
import type { RecipeInput } from "../methods/recipe.js";

const adam = { optimizer: "adam", learningRate: 0.001, batchSize: 128, microBatch: 64 } as const;
const soft = { softTargets: { temperature: 3, weight: 1 } } as const;

const build = (
  name: string,
  about: string,
  o: {
    readonly sparsity: number;
    readonly dense: number;
    readonly prune: number;
    readonly steps: number;
    readonly share: number;
  },
): RecipeInput => ({
  name,
  about,
  dense: { train: { ...adam, epochs: o.dense, softTargets: null, dropout: 0.5, shift: 1 } },
  stages: [
    {
      method: "prune/magnitude",
      name: "prune",
      options: {
        sparsity: o.sparsity,
        criterion: "lamp",
        steps: o.steps,
        train: { ...adam, ...soft, epochs: o.prune, dropout: 0, shift: 1 },
      },
    },
    {
      method: "quantize/cluster",
      name: "cluster",
      options: { lossRise: 0.003, train: { ...adam, ...soft, epochs: o.share, dropout: 0, shift: 1 } },
    },
  ],
});

export const lenet5 = build(
  "lenet-5",
  "LeNet-5 on MNIST at its smallest; the dense network and the compressed one both see images shifted by up to one pixel.",
  { sparsity: 0.99, dense: 20, prune: 30, steps: 18, share: 4 },
);
export const lenet5Fast = build("lenet-5-fast", "LeNet-5 on MNIST in minutes on two cores, for the demo.", {
  sparsity: 0.97,
  dense: 4,
  prune: 4,
  steps: 3,
  share: 1,
});
