/** Trains a tiny net for many steps and prints, as JSON, the resident MiB after every tenth of them. Run with --expose-gc. */
import { fromArrays } from "../../dist/data/from-table.js";
import { NetworkBuilder } from "../../dist/methods/architecture/builder.js";
import { train } from "../../dist/train/train.js";

const steps = Number(process.argv[2]);
const data = fromArrays({
  x: new Float32Array(640 * 20).map((_, i) => Math.sin(i)),
  dims: [20],
  y: new Int32Array(640).map((_, i) => i % 3),
});
const b = new NetworkBuilder("tiny", 1);
const graph = b.finish(b.dense(b.relu(b.dense(b.input("x", [20]), "fc1", 200), "relu"), "fc2", 3), "y");
const seen: number[] = [];
await train(graph, {
  data,
  epochs: steps / 10,
  batchSize: 64,
  microBatch: 32,
  learningRate: 0.01,
  onProgress: ({ step }) => {
    if (step % (steps / 10) !== 0) return;
    // What is collectable is collected first: the question is what stays.
    globalThis.gc!();
    seen.push(process.memoryUsage.rss() / 2 ** 20);
  },
});
console.log(JSON.stringify(seen));
