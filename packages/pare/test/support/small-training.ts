/** A small net with everything training treats specially, and data it can learn. */

import type { Dataset } from "../../dist/data/dataset.js";
import { fromArrays } from "../../dist/data/from-table.js";
import { Random } from "../../dist/data/random.js";
import type { Graph } from "../../dist/graph/graph.js";
import { NetworkBuilder } from "../../dist/methods/architecture/builder.js";

/** Convolutions, BatchNormalization, max-pooling, Dropout, a residual: [2,8,8] -> 4 classes. */
export function smallNet(seed = 1): Graph {
  const b = new NetworkBuilder("small", seed);
  const x = b.input("x", [2, 8, 8]);
  const first = b.relu(b.batchNorm(b.conv(x, "conv1", 6, 3, { pad: 1, bias: false }), "bn1"), "relu1");
  const second = b.batchNorm(b.conv(first, "conv2", 6, 3, { pad: 1, bias: false }), "bn2");
  const sum = b.relu(b.add(first, second, "sum"), "relu2");
  const pooled = b.flatten(b.maxPool(sum, "pool", 2));
  const hidden = b.dropout(b.relu(b.dense(pooled, "fc1", 16), "relu3"), "drop", 0.25);
  return b.finish(b.dense(hidden, "fc2", 4), "y");
}

/** Images whose class is the quadrant that is brighter, with noise. */
export function quadrants(samples: number, seed = 3): Dataset {
  const random = new Random(seed);
  const x = new Float32Array(samples * 128);
  const y = Int32Array.from({ length: samples }, () => random.below(4));
  for (let i = 0; i < samples; i++)
    for (let k = 0; k < 128; k++) {
      const [row, column] = [Math.floor((k % 64) / 8), k % 8];
      const quadrant = (row >= 4 ? 2 : 0) + (column >= 4 ? 1 : 0);
      x[i * 128 + k] = random.uniform() + (quadrant === y[i] ? 0.25 : 0);
    }
  return fromArrays({ name: "quadrants", x, dims: [2, 8, 8], y, classes: 4 });
}
