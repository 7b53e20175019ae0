/** A compression of seconds: network, data and recipe. Run as a program it compresses into the folder that it is given and prints each epoch. */
import { fileURLToPath } from "node:url";
import { compress } from "../../dist/compress.js";
import { NetworkBuilder } from "../../dist/methods/architecture/builder.js";
import type { RecipeInput } from "../../dist/methods/recipe.js";
import { blobs } from "./blobs.js";

export const training = { epochs: 6, batchSize: 32, optimizer: "adam", learningRate: 0.003 } as const;
export const recipe: RecipeInput = {
  name: "test",
  dense: { train: { ...training, softTargets: null } },
  stages: [
    {
      method: "prune/magnitude",
      name: "prune",
      options: { sparsity: 0.9, criterion: "fisher", samples: 32, steps: 2, train: training },
    },
    { method: "quantize/cluster", name: "cluster", options: { samples: 32, train: training } },
  ],
};
const dims = [1, 28, 28] as const;
export const data = { train: blobs(256, dims, 1), validation: blobs(128, dims, 2), test: blobs(128, dims, 3) };
export const graph = ((b) => {
  const hidden = b.relu(b.dense(b.flatten(b.input("x", dims)), "fc1", 40), "relu1");
  return b.finish(b.dense(b.dropout(hidden, "dropout1", 0.2), "fc2", 4, { init: "glorot" }), "logits");
})(new NetworkBuilder("small", 3));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = process.argv[2]!;
  await compress(graph, {
    data,
    out,
    recipe,
    seed: 1,
    onEpoch: (stage, m) => void process.stdout.write(`${stage} ${m.epoch}\n`),
  });
}
