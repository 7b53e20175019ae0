/** LeNet-300-100 on MNIST, from untrained weights. */
import { type LeNetSettings, lenetRecipe } from "./lenet.js";

const best: LeNetSettings = {
  dense: 40,
  prune: 48,
  share: 5,
  steps: 30,
  sparsity: 0.965,
  criterion: "fisher",
  microBatch: 128,
  shift: 1,
  dropout: 0.25,
  sharing: "price",
  shareRise: 0.005,
};

export const lenet300 = lenetRecipe(
  "lenet-300-100",
  "LeNet-300-100 on MNIST at its smallest; every training, the dense one too, sees images shifted by up to one pixel.",
  best,
);
export const lenet300Plain = lenetRecipe(
  "lenet-300-100-plain",
  "LeNet-300-100 on MNIST without augmentation, to compare with the papers.",
  { ...best, dense: 30, prune: 50, steps: 30, shift: 0, dropout: 0.5, sparsity: 0.96 },
);
export const lenet300Twelvefold = lenetRecipe(
  "lenet-300-100-12x",
  "LeNet-300-100 with a twelfth of its weights, as in Han 2015, and few shared values; images shifted by up to one pixel.",
  { ...best, prune: 96, share: 10, steps: 20, sparsity: 1 - 1 / 12, sharing: "k-means", shareRise: 0.001 },
);
export const lenet300Fast = lenetRecipe(
  "lenet-300-100-fast",
  "LeNet-300-100 on MNIST in a few minutes on two cores, for the demo.",
  { ...best, dense: 14, prune: 18, steps: 10, share: 2, sparsity: 0.96, sharing: "k-means" },
);
