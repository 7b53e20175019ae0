/** A way to remember and a seed enter; five tasks, MNIST with its pixels in five orders, are learned one after another; accuracies over the tasks seen leave. */
import type { Dataset } from "../../packages/pare/dist/data/dataset.js";
import { openSplits } from "../../packages/pare/dist/data/open.js";
import { shuffle } from "../../packages/pare/dist/data/shuffle.js";
import { ortNode as engine } from "../../packages/pare/dist/engine/ort-node.js";
import { type PenaltyKind, penaltyOf } from "../../packages/pare/dist/importance/penalty.js";
import { NetworkBuilder } from "../../packages/pare/dist/methods/architecture/builder.js";
import { evaluate } from "../../packages/pare/dist/train/evaluate.js";
import type { Penalty } from "../../packages/pare/dist/train/options.js";
import { train } from "../../packages/pare/dist/train/train.js";

export type Memory = "sgd" | PenaltyKind;
export const memories: readonly Memory[] = ["sgd", "ewc", "si", "mas"];
/** Strengths to choose from on validation data. */
export const strengths: Readonly<Record<PenaltyKind, readonly number[]>> = {
  ewc: [30, 100, 300],
  si: [0.1, 0.3, 1],
  mas: [0.01, 0.03, 0.1],
};

/** Mean accuracy over the tasks so far, after each of them: 0..1. */
export type Accuracies = readonly number[];

const [tasks, epochs, width, seen] = [5, 2, 256, 512];

/** The same images with their pixels in another order; order 0 is their own. */
function permuted(of: Dataset, task: number, seed: number): Dataset {
  if (task === 0) return of;
  const order = shuffle(784, 1000 * (seed + 1) + task);
  return {
    ...of,
    name: `${of.name}, order ${task}`,
    batch(indices) {
      const b = of.batch(indices);
      const x = b.inputs[0]!;
      const from = x.data as Float32Array;
      const to = new Float32Array(from.length);
      for (let row = 0; row < from.length; row += 784)
        for (let i = 0; i < 784; i++) to[row + i] = from[row + order[i]!]!;
      return { ...b, inputs: [{ ...x, data: to }] };
    },
  };
}

/** Accuracies on `part`. No task is seen again once it is over; plain SGD with momentum, the same for all. */
export async function remember(
  memory: Memory,
  strength: number,
  seed: number,
  part: "validation" | "test",
): Promise<Accuracies> {
  const data = await openSplits("mnist", { only: ["train", part], seed });
  const b = new NetworkBuilder("permuted", seed);
  let x = b.flatten(b.input("x", [1, 28, 28]));
  for (const name of ["fc1", "fc2"]) x = b.relu(b.dense(x, name, width), `${name}.relu`);
  let graph = b.finish(b.dense(x, "fc3", 10, { init: "glorot" }), "logits");
  let penalty: Penalty | undefined;
  const means: number[] = [];
  for (let task = 0; task < tasks; task++) {
    const own = permuted(data.train, task, seed);
    const result = await train(graph, {
      data: own,
      epochs,
      batchSize: 128,
      optimizer: { kind: "sgd", momentum: 0.9 },
      learningRate: 0.05,
      keepBest: false,
      seed: 100 * seed + task,
      path: memory === "si",
      engine,
      ...(penalty ? { penalty } : {}),
    });
    graph = result.graph;
    if (memory !== "sgd") {
      const path = result.path ? { path: result.path } : {};
      const before = penalty ? { before: penalty } : {};
      penalty = await penaltyOf(graph, own, memory, { strength, samples: seen, engine, ...path, ...before });
    }
    let sum = 0;
    for (let old = 0; old <= task; old++)
      sum += (await evaluate(graph, permuted(data[part], old, seed), { engine })).top1;
    means.push(sum / (task + 1));
  }
  return means;
}
