/** pare factorize: a trained model -> the same with layers that are products of smaller ones. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type FactorizeFacts, type FactorizeMethod, factorize, factorizeMethods } from "../factorize.js";
import { PareError } from "../graph/error.js";
import type { LowRankInput } from "../methods/low-rank.js";
import { textTable } from "../report/text.js";
import { dataOptions } from "./data.js";
import { checkOutput } from "./output.js";
import { ratio, whole } from "./parse.js";
import { result } from "./progress.js";
import { percent, type ShrinkOptions, share, shrink, shrinkOptions, shrinkText } from "./shrink.js";

type Target = NonNullable<LowRankInput["target"]>;
type Ranks = NonNullable<LowRankInput["ranks"]>;
interface Options extends ShrinkOptions {
  method: FactorizeMethod;
  target?: Target;
  rank: Ranks;
  rounds: number;
  measure: boolean;
}

/** "macs=0.5", "bytes=50%", "latency=0.6", "energy=0.95" or "vbmf". */
function rankTarget(value: string): Target {
  if (value === "vbmf") return value;
  const match = /^(macs|bytes|latency|energy)=(.+)$/.exec(value.trim());
  if (!match) throw new InvalidArgumentError("expected macs=0.5, bytes=0.5, latency=0.5, energy=0.95 or vbmf.");
  return { [match[1]!]: ratio(match[2]!) } as Target;
}
function rankOf(value: string, before: Ranks): Ranks {
  const match = /^(.+)=(\d+(?:,\d+)*)$/.exec(value);
  if (!match) throw new InvalidArgumentError("expected layer=30, or layer=16,24 for Tucker-2.");
  return { ...before, [match[1]!]: match[2]!.split(",").map(Number) };
}

export function factorizeCommand(program: Command): void {
  const command = program
    .command("factorize")
    .description("replace layers of a trained model by products of smaller ones, so that every engine runs it faster")
    .argument("<model>", "trained model, .onnx or .pare");
  dataOptions(command, false)
    .requiredOption(
      "-o, --output <file>",
      "file to write, .onnx; <file>.unfinished beside it lets the same command go on",
    )
    .addOption(
      new Option("--method <name>", "auto: for each layer the one of svd, spatial and tucker2 that loses least")
        .choices(factorizeMethods)
        .default("auto"),
    )
    .option(
      "--target <kind=share>",
      "what may be left: macs=0.5 (the default), bytes=0.5, latency=0.5 (timed here); or energy=0.95 of every layer's answers, or vbmf",
      rankTarget,
    )
    .option(
      "--rank <layer=r>",
      "rank of one layer, by node or weight (Tucker-2: layer=in,out); may be repeated",
      rankOf,
      {},
    )
    .option("--rounds <n>", "how often factors without a closed form are fitted in turn", whole, 4)
    .option("--no-measure", "take what has fewer MACs and weights, be it slower on this machine");
  shrinkOptions(command, { samples: ["layer inputs and errors are measured on", 512], epochs: "afterwards", lr: 0.005 })
    .addHelpText(
      "after",
      "\nWithout --data the weights are approximated; with it the answers of each layer, which is far better.\n\nExamples:\n  pare factorize model.onnx --target macs=0.5 --data ./photos -o half.onnx\n  pare factorize model.onnx --method spatial --target latency=0.7 --data ./photos --epochs 2 -o fast.onnx\n  pare factorize lenet.onnx --method svd --rank fc1=30 -o small.onnx --json",
    )
    .action(async (path: string, options: Options) => {
      await checkOutput(options.output, path);
      if (options.data === undefined && options.epochs > 0)
        throw new PareError("--epochs: fine-tuning needs data: give --data, or 0 epochs", "usage");
      const { method, output, target, rank: ranks, exclude, samples, rounds, measure, epochs, lr } = options;
      const own = { ranks, exclude, samples, rounds, measure, train: { epochs, learningRate: lr } };
      const { facts, notes, error } = await shrink(path, options, (graph, tools) =>
        factorize(graph, { ...tools, method, options: target === undefined ? own : { ...own, target } }),
      );
      const all = { model: path, method, output, ...facts, error, notes };
      result(options.json, all, () => shrinkText(all, layerTable(all.layers)));
    });
}

function layerTable(layers: FactorizeFacts["layers"]): string {
  return textTable(
    layers.map((l) => [l.node, l.method, l.ranks.join(", "), share(l.macs), share(l.parameters), percent(l.error)]),
    ["layer", "method", "rank", "MACs", "weights", "error"],
  );
}
