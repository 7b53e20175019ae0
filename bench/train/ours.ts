/** Pare's own training step by the clock: a built-in network's name comes in, milliseconds per step of `train` go out. */
import { performance } from "node:perf_hooks";
import { fromArrays } from "../../packages/pare/dist/data/from-table.js";
import { Random } from "../../packages/pare/dist/data/random.js";
import { network } from "../../packages/pare/dist/methods/architecture/networks.js";
import { train } from "../../packages/pare/dist/train/train.js";

export interface OurRun {
  readonly workers: number;
  readonly microBatch: number;
  readonly warmup: number;
  readonly steps: number;
  readonly clock: "wall" | "cpu";
}
/** Milliseconds that this process has spent, all threads together. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** Trains on random data for `warmup` + `steps` steps of 128 samples, SGD with momentum 0.9; times from one step's end to the next, of the last `steps`. */
export async function ourSteps(net: string, { workers, microBatch, warmup, steps, clock }: OurRun): Promise<number[]> {
  const graph = network(net);
  const dims = (graph.inputs[0]!.shape as number[]).slice(1);
  const size = dims.reduce((p, d) => p * d, 1);
  const batches = Math.min(32, warmup + steps);
  const samples = 128 * batches;
  const random = new Random(1, 2, 3);
  const x = Float32Array.from({ length: samples * size }, () => (random.uint32() >>> 8) / 2 ** 24);
  const y = Int32Array.from({ length: samples }, () => random.uint32() % 10);
  const ms: number[] = [];
  let last = 0;
  let done = 0;
  const options = { data: fromArrays({ x, dims, y, classes: 10 }), batchSize: 128, microBatch, workers };
  await train(graph, {
    ...options,
    epochs: Math.ceil((warmup + steps) / batches),
    optimizer: { kind: "sgd", momentum: 0.9 },
    learningRate: 0.01,
    onProgress: () => {
      const now = clock === "cpu" ? cpuMs() : performance.now();
      if (done++ >= warmup) ms.push(now - last);
      last = now;
    },
  });
  return ms;
}
