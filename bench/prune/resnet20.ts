/** Rows on a ResNet-20 that others trained on CIFAR-10: half of its multiply-accumulates by channels, by products of smaller layers; half of its weights. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Dataset } from "../../packages/pare/dist/data/dataset.js";
import { openSplits } from "../../packages/pare/dist/data/open.js";
import { limited, subset } from "../../packages/pare/dist/data/views.js";
import { type FactorizeOptions, factorize } from "../../packages/pare/dist/factorize.js";
import { read, write } from "../../packages/pare/dist/graph/file.js";
import type { Graph } from "../../packages/pare/dist/graph/graph.js";
import { type PruneMethod, prune } from "../../packages/pare/dist/prune.js";
import type { TrainOptions } from "../../packages/pare/dist/train/options.js";
import { train } from "../../packages/pare/dist/train/train.js";
import { measured } from "./measure.js";
import type { Place, Row } from "./row.js";

const model = fileURLToPath(new URL("../../../shared/data/models/resnet20-cifar.onnx", import.meta.url));
const normalize = "0.4914,0.4822,0.4465/0.247,0.2435,0.2616";

/** Throws where the model is not on this machine. */
export async function original(): Promise<Graph> {
  if (!existsSync(model)) throw new Error(`${model} is not here: this row needs the folder of shared data`);
  return read(model);
}
/** 45,000 images to learn from, 5,000 to choose by, 10,000 to measure once. */
export const splits = (seed: number): Promise<Record<"train" | "validation" | "test", Dataset>> =>
  openSplits("cifar10", { only: ["train", "validation", "test"], normalize, seed });

export const heard = (place: Place, what: string) => {
  let last = 0;
  return {
    onProgress: (p: { readonly epoch: number; readonly epochs: number; readonly secondsLeft: number }): void => {
      if (performance.now() - last < 30_000) return;
      last = performance.now();
      place.log(`${what}: epoch ${p.epoch} of ${p.epochs}, ${Math.round(p.secondsLeft)} s left`);
    },
    onEpoch: (m: { readonly epoch: number; readonly loss: number; readonly validation?: { readonly error: number } }) =>
      place.log(
        `${what}: epoch ${m.epoch}: loss ${m.loss.toFixed(3)}, validation error ${(100 * (m.validation?.error ?? Number.NaN)).toFixed(2)} %`,
      ),
  };
};

type Training = Pick<
  TrainOptions,
  "epochs" | "batchSize" | "microBatch" | "optimizer" | "learningRate" | "weightDecay" | "augment" | "keepBest"
> & { readonly soft: { readonly temperature: number; readonly weight: number } | null };

/** Set beforehand, not tuned. */
const training = (epochs: number): Training => ({
  epochs,
  batchSize: 128,
  microBatch: 64,
  optimizer: { kind: "sgd", momentum: 0.9, nesterov: true },
  learningRate: { kind: "cosine", rate: 0.05, warmupSteps: 100 },
  weightDecay: { l2: 5e-4 },
  augment: { shift: 4, flip: true },
  keepBest: false,
  soft: { temperature: 4, weight: 0.9 },
});

type Data = Awaited<ReturnType<typeof splits>>;
type Work = (graph: Graph, data: Data, place: Place) => Promise<{ readonly graph: Graph }>;

/** Measured on the first `images` of the test set. */
const row = (about: string, bar: string, recipe: unknown, work: Work, images = 10_000): Row => ({
  about: `ResNet-20, CIFAR-10: ${about}`,
  bar,
  recipe: { recipe, images },
  async run(place) {
    const graph = await original();
    const data = await splits(place.seed);
    const test = subset(data.test, [...Array(images).keys()]);
    return measured(graph, test, () => work(graph, data, place));
  },
});

/** Channels go, then all weights learn. The narrower network is kept beside the checkpoint: widths are measured, and a resumed run must have the same. */
function trained(name: string, epochs: number, bar: string): Row {
  const recipe = {
    prune: { target: { macs: 0.48, latency: 0.57 }, samples: 256, train: { epochs: 0 } },
    training: training(epochs),
  };
  return row(`channels to 48 % of the MACs, ${epochs} epochs`, bar, recipe, async (graph, data, place) => {
    const { seed, workers, checkpoint, log } = place;
    const narrow = `${checkpoint}.onnx`;
    if (!existsSync(narrow)) {
      const pruned = await prune(graph, { method: "structured", options: recipe.prune, data: data.train, seed, log });
      await write(pruned.graph, narrow);
    }
    const { soft, ...options } = recipe.training;
    return train(await read(narrow), {
      ...options,
      data: data.train,
      validation: data.validation,
      ...(soft ? { softTargets: { teacher: graph, ...soft } } : {}),
      seed,
      workers,
      checkpoint: { path: checkpoint, everySeconds: 60 },
      ...heard(place, name),
    });
  });
}

function pruned(about: string, bar: string, method: PruneMethod, options: object, calibration: number, images: number) {
  const recipe = { method, options, calibration };
  const work: Work = (graph, data, { seed, log }) =>
    prune(graph, { method, options, data: limited(data.train, calibration), seed, log });
  return row(about, bar, recipe, work, images);
}
function factorized(about: string, bar: string, o: Pick<FactorizeOptions, "method" | "options">): Row {
  const work: Work = (graph, data, { seed, log }) => factorize(graph, { ...o, data: data.train, seed, log });
  return row(about, bar, o, work, 4000);
}

const tucker = {
  target: { macs: 0.45 },
  train: {
    epochs: 5,
    learningRate: 0.01,
    shift: 4,
    flip: true,
    microBatch: 64,
    softTargets: { temperature: 4, weight: 0.9 },
  },
};
const untrained = { train: { epochs: 0 } };
export const resnet20: Readonly<Record<string, Row>> = {
  "resnet20-5": trained("resnet20-5", 5, "> 86.56 % (torch-pruning, as many steps)"),
  "resnet20-40": trained("resnet20-40", 40, ">= -0.8 pp, latency <= 0.6"),
  "resnet20-64-images": pruned(
    "channels to 48 % of the MACs, 64 images, no training",
    "> 53.4 % (torch-pruning, BatchNorm refreshed)",
    "structured",
    { target: { macs: 0.48 }, samples: 64, ...untrained },
    64,
    10_000,
  ),
  "resnet20-factorize": factorized("best factorization at half the MACs, no training", "> 60.0 % (tensorly)", {
    method: "auto",
    options: { target: { macs: 0.5 }, ...untrained },
  }),
  "resnet20-spatial": factorized("spatial SVD at half the MACs, no training", "> 60.0 % (tensorly)", {
    method: "spatial",
    options: { target: { macs: 0.5 }, ...untrained },
  }),
  "resnet20-tucker2": row("Tucker-2, 5 epochs", ">= -1 pp, latency <= MACs / 0.6", tucker, (graph, data, place) =>
    factorize(graph, {
      method: "tucker2",
      options: tucker,
      data: data.train,
      validation: data.validation,
      seed: place.seed,
      workers: place.workers,
      log: place.log,
      ...heard(place, "Tucker-2"),
    }),
  ),
  "resnet20-sparsegpt-50": pruned(
    "SparseGPT, 50 % of the weights, no training",
    ">= 91.0 % (onnxsim) in <= 3.7 CPU s",
    "sparsegpt",
    { sparsity: 0.5 },
    45_000,
    4000,
  ),
  "resnet20-sparsegpt-70": pruned(
    "SparseGPT, 70 % of the weights, no training",
    ">= 72.2 % (onnxsim) in <= 3.7 CPU s",
    "sparsegpt",
    { sparsity: 0.7 },
    45_000,
    4000,
  ),
};
