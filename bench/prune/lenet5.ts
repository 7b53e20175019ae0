/** Rows on LeNet-5 (20-50-500-10) and MNIST: units by APoZ, groups by the lasso, convolutions as products; all from the same dense network of a seed. */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { openSplits } from "../../packages/pare/dist/data/open.js";
import { factorize } from "../../packages/pare/dist/factorize.js";
import { read, write } from "../../packages/pare/dist/graph/file.js";
import type { Graph } from "../../packages/pare/dist/graph/graph.js";
import { network } from "../../packages/pare/dist/methods/architecture/networks.js";
import { prune } from "../../packages/pare/dist/prune.js";
import { train } from "../../packages/pare/dist/train/train.js";
import { measured } from "./measure.js";
import { heard } from "./resnet20.js";
import type { Place, Row } from "./row.js";

export const splits = (seed: number) => openSplits("mnist", { only: ["train", "validation", "test"], seed });
type Data = Awaited<ReturnType<typeof splits>>;

const dense = {
  epochs: 12,
  batchSize: 128,
  optimizer: { kind: "adam" },
  learningRate: { kind: "cosine", rate: 0.001 },
  keepBest: false,
} as const;

/** The dense network of this seed: trained once, then kept for all rows. */
export async function denseNet(data: Data, place: Place): Promise<Graph> {
  const { seed, workers } = place;
  const path = fileURLToPath(
    new URL(`../../pare-out/prune/lenet-5-${dense.epochs}-epochs-${seed}.onnx`, import.meta.url),
  );
  if (!existsSync(path)) {
    const { train: samples, validation } = data;
    const options = { ...dense, data: samples, validation, seed, workers, ...heard(place, "dense LeNet-5") };
    const { graph } = await train(network("lenet-5", { seed }), options);
    mkdirSync(dirname(path), { recursive: true });
    await write(graph, path);
  }
  return read(path);
}

type Work = (graph: Graph, data: Data, place: Place) => Promise<{ readonly graph: Graph }>;
const row = (about: string, bar: string, recipe: unknown, work: Work): Row => ({
  about: `LeNet-5, MNIST: ${about}`,
  bar,
  recipe: { dense, recipe },
  async run(place) {
    const data = await splits(place.seed);
    const graph = await denseNet(data, place);
    return measured(graph, data.test, async () => {
      const done = await work(graph, data, place);
      const filters = done.graph.initializers.get("conv2.weight")?.dims[0];
      return { ...done, ...(filters === undefined ? {} : { details: { "conv2 filters": filters } }) };
    });
  },
});
const shared = (data: Data, place: Place, what: string) => ({
  data: data.train,
  validation: data.validation,
  seed: place.seed,
  workers: place.workers,
  log: place.log,
  ...heard(place, what),
});

const apoz = {
  target: { bytes: 0.25 },
  importance: "apoz",
  sides: "outputs",
  allocation: "global",
  roundTo: 1,
  samples: 1000,
  steps: 5,
  repair: "none",
  train: { epochs: 4, learningRate: 0.01, clipNorm: 5 },
};
/** The strength is scaled from short trainings on 6,400 images, judged on validation images; the whole recipe has not been tuned. */
const lasso = {
  strength: 0.05,
  // The convolutions' groups: with fc2, fc1's units are left out.
  exclude: ["fc2"],
  train: { epochs: 20, batchSize: 64, learningRate: 0.02, clipNorm: 5, softTargets: null },
  finetune: { epochs: 10, batchSize: 64, learningRate: 0.01, clipNorm: 5, softTargets: null },
};
const tucker = { target: { macs: 0.5 }, train: { epochs: 5, learningRate: 0.01, clipNorm: 5 } };

export const lenet5: Readonly<Record<string, Row>> = {
  "lenet5-apoz": row(
    "units by APoZ, five cuts with 4 epochs after each",
    "parameters <= 0.263, >= -0.10 pp",
    apoz,
    (graph, data, place) => prune(graph, { method: "structured", options: apoz, ...shared(data, place, "APoZ") }),
  ),
  "lenet5-ssl": row(
    "group lasso on filters and channels",
    "<= 12 conv2 filters at >= 99.0 %",
    lasso,
    (graph, data, place) =>
      prune(graph, { method: "group-lasso", options: lasso, ...shared(data, place, "group lasso") }),
  ),
  "lenet5-tucker2": row("Tucker-2, 5 epochs", ">= -1 pp, latency <= MACs / 0.6", tucker, (graph, data, place) =>
    factorize(graph, { method: "tucker2", options: tucker, ...shared(data, place, "Tucker-2") }),
  ),
};
