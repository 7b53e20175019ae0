/** Compares values of defaults on validation images of two networks (ResNet-20's author trained it on them; the test images are not read): bench/results/defaults.json leaves. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { limited } from "../../packages/pare/dist/data/views.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { factorize } from "../../packages/pare/dist/factorize.js";
import { type PruneMethod, prune } from "../../packages/pare/dist/prune.js";
import { evaluate } from "../../packages/pare/dist/train/evaluate.js";
import type { Comparison, Comparisons } from "./defaults-table.js";
import { denseNet, splits as mnist } from "./lenet5.js";
import { splits as cifar10, original } from "./resnet20.js";

/** Validation images that judge. */
const images = 4000;
const seed = 1;

/** Parts of the questions that are asked, all of them unless said; of others the rows that are there stay. */
const named = process.argv.slice(2);
const log = (line: string): void => console.error(line);
const [colours, digits] = [await cifar10(seed), await mnist(seed)];
/** Sparse and narrow enough that something is lost. */
const networks = [
  { name: "ResNet-20", graph: await original(), data: colours, sparsity: 0.7, macs: 0.48, left: [0.5, "half"] },
  {
    name: "LeNet-5",
    graph: await denseNet(digits, { seed, workers: 2, checkpoint: "", log }),
    data: digits,
    sparsity: 0.95,
    macs: 0.2,
    left: [0.2, "a fifth of"],
  },
] as const;

interface Question {
  readonly about: string;
  readonly method: PruneMethod | "spatial" | "tucker2";
  readonly common: object;
  readonly values: Readonly<Record<string, readonly (number | string)[]>>;
}
const questions = ({ name, sparsity, macs, left }: (typeof networks)[number]): readonly Question[] => [
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
  ...(["spatial", "tucker2"] as const).map((method) => ({
    about: `${name}: ${method} at ${left[1]} the MACs`,
    method,
    // Times would differ from run to run.
    common: { target: { macs: left[0] }, measure: false, train: { epochs: 0 } },
    values: { ridge: [0.0001, 0.001, 0.01, 0.1, 1] },
  })),
];

const out = fileURLToPath(new URL("../../bench/results/defaults.json", import.meta.url));
const known: readonly Comparison[] = named.length > 0 ? JSON.parse(readFileSync(out, "utf8")).rows : [];
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
        const question = `${about}: ${option} ${value}`;
        if (named.length > 0 && !named.some((part) => question.includes(part))) {
          rows.push(...known.filter((row) => row.about === about && row.option === option && row.value === value));
          continue;
        }
        const options = { ...common, [option]: value };
        const o = { options, data: data.train, seed };
        const done =
          method === "spatial" || method === "tucker2"
            ? await factorize(graph, { ...o, method })
            : await prune(graph, { ...o, method });
        const top1 = await judged(done.graph);
        rows.push({ about, option, value, top1 });
        log(`${question}: ${(100 * top1).toFixed(2)} %`);
      }
}
const found: Comparisons = { images, originals, rows };
writeFileSync(out, `${JSON.stringify(found, null, 1)}\n`);
