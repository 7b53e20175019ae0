/** LeNet-5 (20-50-500-10) on MNIST, from untrained weights. */
import { type LeNetSettings, lenetRecipe } from "./lenet.js";

const best: LeNetSettings = {
  dense: 12,
  prune: 18,
  share: 2,
  steps: 12,
  sparsity: 0.98,
  criterion: "fisher",
  microBatch: 64,
  shift: 1,
  dropout: 0.5,
  sharing: "price",
  shareRise: 0.003,
};

export const lenet5 = lenetRecipe(
  "lenet-5",
  "LeNet-5 on MNIST at its smallest; every training, the dense one too, sees images shifted by up to one pixel.",
  best,
);
export const lenet5Plain = lenetRecipe(
  "lenet-5-plain",
  "LeNet-5 on MNIST without augmentation, to compare with the papers.",
  { ...best, shift: 0, sparsity: 0.98 },
);
export const lenet5Twelvefold = lenetRecipe(
  "lenet-5-12x",
  "LeNet-5 with a twelfth of its weights, as in Han 2015, and few shared values; images shifted by up to one pixel.",
  { ...best, dense: 10, prune: 12, steps: 8, sparsity: 1 - 1 / 12, sharing: "k-means", shareRise: 0.001 },
);
export const lenet5Fast = lenetRecipe("lenet-5-fast", "LeNet-5 on MNIST in minutes on two cores, for the demo.", {
  ...best,
  dense: 3,
  prune: 4,
  steps: 3,
  share: 1,
  sparsity: 0.97,
  sharing: "k-means",
});
