/** Compares values of defaults on validation images of two networks (ResNet-20's author trained it on them; the test images are not read): bench/results/defaults.json leaves. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { limited } from "../../packages/pare/dist/data/views.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { type PruneMethod, prune } from "../../packages/pare/dist/prune.js";
import { evaluate } from "../../packages/pare/dist/train/evaluate.js";
import type { Comparison, Comparisons } from "./defaults-table.js";
import { denseNet, splits as mnist } from "./lenet5.js";
import { splits as cifar10, original } from "./resnet20.js";

/** Validation images that judge. */
const images = 4000;
const seed = 1;

const log = (line: string): void => console.error(line);
const [colours, digits] = [await cifar10(seed), await mnist(seed)];
/** Sparse and narrow enough that something is lost. */
const networks = [
  { name: "ResNet-20", graph: await original(), data: colours, sparsity: 0.7, macs: 0.48 },
  {
    name: "LeNet-5",
    graph: await denseNet(digits, { seed, workers: 2, checkpoint: "", log }),
    data: digits,
    sparsity: 0.95,
    macs: 0.2,
  },
];

interface Question {
  readonly about: string;
  readonly method: PruneMethod;
  readonly common: object;
  readonly values: Readonly<Record<string, readonly (number | string)[]>>;
}
const questions = ({ name, sparsity, macs }: (typeof networks)[number]): readonly Question[] => [
  {
    about: `${name}: SparseGPT, ${100 * sparsity} %`,
    method: "sparsegpt",
    common: { sparsity },
    values: { damping: [0.001, 0.01, 0.03, 0.1, 0.3], allocation: ["uniform", "lamp"], samples: [64, 128, 256] },
  },
  {
    about: `${name}: channels to ${100 * macs} % of the MACs, 64 images`,
    method: "structured",
    common: { target: { macs }, samples: 64, allocation: "global", roundTo: 8, train: { epochs: 0 } },
    values: { ridge: [0.01, 0.03, 0.1, 0.3] },
  },
];

const originals: Record<string, number> = {};
const rows: Comparison[] = [];
for (const network of networks) {
  const { graph, data } = network;
  const validation = limited(data.validation, images);
  const judged = async (g: typeof graph) => (await evaluate(g, validation, { engine: ortNode })).top1;
  originals[network.name] = await judged(graph);
  for (const { about, method, common, values } of questions(network))
    for (const [option, list] of Object.entries(values))
      for (const value of list) {
        const options = { ...common, [option]: value };
        const top1 = await judged((await prune(graph, { method, options, data: data.train, seed })).graph);
        rows.push({ about, option, value, top1 });
        log(`${about}: ${option} ${value}: ${(100 * top1).toFixed(2)} %`);
      }
}
const out = fileURLToPath(new URL("../../bench/results/defaults.json", import.meta.url));
const found: Comparisons = { images, originals, rows };
writeFileSync(out, `${JSON.stringify(found, null, 1)}\n`);
