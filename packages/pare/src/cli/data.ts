/** The data options that several commands share. */
import { type Command, Option } from "commander";
import type { Dataset } from "../data/dataset.js";
import { type OpenOptions, open, openSplits, type Split } from "../data/open.js";
import { openSamples } from "../data/open-samples.js";
import type { Layout } from "../data/raw-array.js";
import type { Samples } from "../data/samples.js";
import type { Graph } from "../graph/graph.js";
import { positive } from "./parse.js";
import { say } from "./progress.js";

export interface DataOptions {
  data: string;
  split?: string;
  limit?: number;
  normalize?: string;
  layout?: Layout;
  label?: string;
  regression?: boolean;
}

export const dataHelp = `
Data (--data) is one of
  a name         mnist, fashion-mnist, cifar10
  a file         .npz, .npy, IDX (images; labels beside it), CIFAR .bin, .csv; each also .gz or .br
  a folder       one sub-folder of .png or .jpg images per class
  a module       ./my-data.mjs that exports an async iterable of { x, label } or { inputs: { name: x }, label },
                 or { length, sample(i) }, which is asked for one sample at a time`;

/** `needed`: whether the command makes no sense without --data. */
export function dataOptions(command: Command, needed = true): Command {
  const data = new Option("--data <source>", "what to read: a name, file, folder or module (see below)");
  return command
    .addOption(needed ? data.makeOptionMandatory() : data)
    .option("--split <name>", "train, validation or test, where the source has them")
    .option("--limit <n>", "use n samples, evenly spread", positive)
    .option("--normalize <mean/std>", "per channel: 0.4914,0.4822,0.4465/0.247,0.2435,0.2616")
    .addOption(
      new Option("--layout <order>", "how images lie in .npy and .npz files (told from the shape otherwise)").choices([
        "auto",
        "nchw",
        "nhwc",
      ]),
    )
    .option("--label <column>", "of a .csv: the label's column, by name or number")
    .option("--regression", "of a .csv: the label is a real number to be predicted")
    .addHelpText("after", dataHelp);
}

/** The options as `open` takes them; progress of downloads goes to stderr. */
const given = ({ limit, normalize, layout, label, regression }: DataOptions): OpenOptions => ({
  ...(limit === undefined ? {} : { limit }),
  ...(normalize === undefined ? {} : { normalize }),
  ...(layout === undefined ? {} : { layout }),
  ...(label === undefined ? {} : { label }),
  ...(regression === undefined ? {} : { regression }),
  log: say,
});

/** Opens what --data names; `split` is used where the user named none. */
export function openData(options: DataOptions, split: Split): Promise<Dataset> {
  return open(options.data, { split: (options.split as Split | undefined) ?? split, ...given(options) });
}

/** Samples for runs of a graph. */
export function openRuns(options: DataOptions, graph: Graph, split: Split): Promise<Samples> {
  return openSamples(options.data, graph, { split: (options.split as Split | undefined) ?? split, ...given(options) });
}

/** The training part and the validation part that is held out of it. */
export async function openTraining(
  options: DataOptions & { seed: number },
): Promise<{ data: Dataset; validation: Dataset }> {
  const { train, validation } = await openSplits(options.data, {
    ...given(options),
    seed: options.seed,
    only: ["train", "validation"],
  });
  return { data: train, validation };
}

/** Everything `compress` needs; without a test part (or --test-data) the errors are those of the source's own held-out tenth. */
export async function openAll(
  options: DataOptions & { testData?: string; seed: number },
): Promise<{ train: Dataset; validation: Dataset; test: Dataset }> {
  const { seed, testData } = options;
  const { train, validation, test } = await openSplits(options.data, {
    ...given(options),
    seed,
    only: testData === undefined ? ["train", "validation", "test"] : ["train", "validation"],
  });
  return {
    train,
    validation,
    test: testData === undefined ? test : await open(testData, { ...given(options), split: "all" }),
  };
}
