/** pare demo: trains a LeNet on MNIST, prunes, shares and packs it, and shows what became of every byte. */
import { join } from "node:path";
import type { Command } from "commander";
import { compress } from "../compress.js";
import { PareError } from "../graph/error.js";
import { network } from "../methods/architecture/networks.js";
import { onTerminal, present } from "./compress.js";
import { openAll } from "./data.js";
import { positive, whole } from "./parse.js";

interface Options {
  output?: string;
  seed: number;
  workers: number;
  json?: boolean;
}
const nets = ["lenet-300-100", "lenet-5"];

export function demo(program: Command): void {
  program
    .command("demo")
    .description("Deep Compression end to end on MNIST, in minutes: train, prune, share values, pack, report")
    .argument("[network]", nets.join(" or "), nets[0])
    .option("-o, --output <folder>", "folder for the results (pare-out/<network>)")
    .option("--seed <n>", "seed of everything random", whole, 0)
    .option("--workers <n>", "threads; the result does not depend on it", positive, 2)
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExamples:\n  pare demo\n  pare demo lenet-5 --seed 1 --json")
    .action(async (name: string, options: Options) => {
      if (!nets.includes(name)) throw new PareError(`demo "${name}": there are ${nets.join(" and ")}`, "usage");
      const { seed, workers } = options;
      const { facts } = await compress(network(name, { seed, dropout: 0.5 }), {
        ...onTerminal(),
        data: await openAll({ data: "mnist", seed }),
        out: options.output ?? join("pare-out", name),
        recipe: `${name}-fast`,
        seed,
        workers,
        model: name,
      });
      present(options.json, facts);
    });
}
