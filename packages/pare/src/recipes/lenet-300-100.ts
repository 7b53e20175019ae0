/** LeNet-300-100 on MNIST, from untrained weights. */
import type { RecipeInput } from "../methods/recipe.js";

const adam = { optimizer: "adam", learningRate: 0.001, batchSize: 128, microBatch: 64 } as const;
const soft = { softTargets: { temperature: 3, weight: 1 } } as const;

/** Dense training, gradual pruning by LAMP under the dense network's soft targets, few shared values. */
const build = (
  name: string,
  about: string,
  o: {
    readonly shift: number;
    readonly sparsity: number;
    readonly dense: number;
    readonly prune: number;
    readonly steps: number;
    readonly share: number;
    readonly dropout: number;
    readonly lossRise: number;
  },
): RecipeInput => ({
  name,
  about,
  dense: { train: { ...adam, epochs: o.dense, softTargets: null, dropout: o.dropout, shift: o.shift } },
  stages: [
    {
      method: "prune/magnitude",
      name: "prune",
      options: {
        sparsity: o.sparsity,
        criterion: "lamp",
        steps: o.steps,
        train: { ...adam, ...soft, epochs: o.prune, dropout: 0, shift: o.shift },
      },
    },
    {
      method: "quantize/cluster",
      name: "cluster",
      options: { lossRise: o.lossRise, train: { ...adam, ...soft, epochs: o.share, dropout: 0, shift: o.shift } },
    },
  ],
});

export const lenet300 = build(
  "lenet-300-100",
  "LeNet-300-100 on MNIST at its smallest; the dense network and the compressed one both see images shifted by up to one pixel.",
  { shift: 1, sparsity: 0.98, dense: 40, prune: 60, steps: 36, share: 8, dropout: 0.3, lossRise: 0.005 },
);
export const lenet300Plain = build(
  "lenet-300-100-plain",
  "LeNet-300-100 on MNIST without augmentation, to compare with the papers.",
  { shift: 0, sparsity: 0.95, dense: 30, prune: 40, steps: 24, share: 8, dropout: 0.5, lossRise: 0.005 },
);
export const lenet300Fast = build(
  "lenet-300-100-fast",
  "LeNet-300-100 on MNIST in a few minutes on two cores, for the demo.",
  { shift: 1, sparsity: 0.96, dense: 20, prune: 20, steps: 12, share: 3, dropout: 0.3, lossRise: 0.005 },
);
