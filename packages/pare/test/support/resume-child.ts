/** A training that may be killed at any moment: node resume-child.js <checkpoint> <everySeconds> <workers> [result]. Prints each step. */
import { toBytes } from "../../dist/graph/encode.js";
import { save } from "../../dist/graph/file-save.js";
import { train } from "../../dist/train/train.js";
import { quadrants, smallNet } from "./small-training.js";

const [path, everySeconds, workers, result] = process.argv.slice(2) as [string, string, string, string?];
const { graph } = await train(smallNet(), {
  data: quadrants(150),
  validation: quadrants(40, 9),
  epochs: 8,
  batchSize: 48,
  microBatch: 8,
  learningRate: { kind: "cosine", rate: 0.05 },
  optimizer: { kind: "adam" },
  seed: 5,
  augment: { shift: 1, flip: true },
  keepBest: false,
  remask: (epoch, weights) =>
    new Map([
      ["fc1.weight", Uint8Array.from(weights.get("fc1.weight")!, (v) => (Math.abs(v) > 0.004 * epoch ? 1 : 0))],
    ]),
  workers: Number(workers),
  checkpoint: { path, everySeconds: Number(everySeconds) },
  onProgress: ({ step }) => process.stdout.write(`${step}\n`),
});
if (result) await save(result, [toBytes(graph)]);
