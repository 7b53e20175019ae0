/** pare factorize: a trained model -> the same with layers that are products of smaller ones. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { type FactorizeMethod, factorize, factorizeMethods } from "../factorize.js";
import { PareError } from "../graph/error.js";
import { write } from "../graph/file.js";
import type { Graph } from "../graph/graph.js";
import type { LowRankInput } from "../methods/low-rank.js";
import { textTable } from "../report/text.js";
import { evaluate } from "../train/evaluate.js";
import { type DataOptions, dataOptions, openTraining } from "./data.js";
import { load } from "./model.js";
import { checkOutput } from "./output.js";
import { positive, ratio, real, whole } from "./parse.js";
import { interruptible, progress, result, say } from "./progress.js";

type Target = NonNullable<LowRankInput["target"]>;
type Ranks = NonNullable<LowRankInput["ranks"]>;
interface Options extends Omit<DataOptions, "data"> {
  data?: string;
  output: string;
  method: FactorizeMethod;
  target?: Target;
  rank: Ranks;
  exclude: string[];
  samples: number;
  rounds: number;
  measure: boolean;
  epochs: number;
  lr: number;
  seed: number;
  workers: number;
  json?: boolean;
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
const collect = (value: string, before: string[]): string[] => [...before, value];

export function factorizeCommand(program: Command): void {
  const command = program
    .command("factorize")
    .description("replace layers of a trained model by products of smaller ones, so that every engine runs it faster")
    .argument("<model>", "trained model, .onnx or .pare");
  dataOptions(command, false)
    .requiredOption("-o, --output <file>", "file to write, .onnx")
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
    .option("--exclude <layer>", "a node or weight to leave alone; may be repeated", collect, [])
    .option("--samples <n>", "training samples whose layer inputs errors are measured on", positive, 512)
    .option("--rounds <n>", "how often factors without a closed form are fitted in turn", whole, 4)
    .option("--no-measure", "take what has fewer MACs and weights, be it slower on this machine")
    .option("--epochs <n>", "fine-tuning afterwards; 0: none", whole, 0)
    .option("--lr <rate>", "learning rate of fine-tuning", real, 0.005)
    .option("--seed <n>", "seed of everything random", whole, 0)
    .option("--workers <n>", "threads of fine-tuning; the result does not depend on it", positive, 2)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nWithout --data the weights are approximated; with it the answers of each layer, which is far better.\n\nExamples:\n  pare factorize model.onnx --target macs=0.5 --data ./photos -o half.onnx\n  pare factorize model.onnx --method spatial --target latency=0.7 --data ./photos --epochs 2 -o fast.onnx\n  pare factorize lenet.onnx --method svd --rank fc1=30 -o small.onnx --json",
    )
    .action(async (path: string, options: Options) => {
      await checkOutput(options.output, path);
      const graph = await load(path);
      const parts = options.data === undefined ? null : await openTraining({ ...options, data: options.data });
      if (!parts && options.epochs > 0)
        throw new PareError("--epochs: fine-tuning needs data: give --data, or 0 epochs", "usage");
      const signal = interruptible();
      const { target, rank: ranks, exclude, samples, rounds, measure, epochs, lr: learningRate } = options;
      const found = await factorize(graph, {
        method: options.method,
        options: {
          ...(target === undefined ? {} : { target }),
          ...{ ranks, exclude, samples, rounds, measure, train: { epochs, learningRate } },
        },
        data: parts?.data,
        validation: parts?.validation,
        seed: options.seed,
        workers: options.workers,
        engine: ortNode,
        signal,
        log: say,
        onProgress: (p) =>
          progress(
            `epoch ${p.epoch} of ${p.epochs}, step ${p.step} of ${p.steps}, loss ${p.loss.toFixed(4)}`,
            p.secondsLeft,
          ),
      });
      await write(found.graph, options.output);
      const labelled = parts?.validation.classes !== undefined;
      const errorOf = async (g: Graph) =>
        labelled ? (await evaluate(g, parts!.validation, { engine: ortNode, signal })).error : null;
      const error = [await errorOf(graph), await errorOf(found.graph)] as const;
      const facts = {
        model: path,
        method: options.method,
        output: options.output,
        ...found.facts,
        error,
        notes: found.notes,
      };
      result(options.json, facts, () => table(facts));
    });
}

type Facts = Awaited<ReturnType<typeof factorize>>["facts"] & {
  readonly error: readonly (number | null)[];
  readonly output: string;
  readonly notes: readonly { readonly node: string; readonly what: string; readonly why: string }[];
};
function table({ parameters, macs, sizeBytes, latencyMs, layers, error, notes, output }: Facts): string {
  const percent = (v: number, digits = 1): string => `${(100 * v).toFixed(digits)} %`;
  const share = ([a, b]: readonly [number, number]): string => percent(b / (a || 1));
  const rows: (string | number)[][] = [
    ["parameters", ...parameters, share(parameters)],
    ["MACs", ...macs, share(macs)],
    ["bytes", ...sizeBytes, share(sizeBytes)],
    ...(latencyMs ? [["ms per run", ...latencyMs.map((v) => v.toFixed(3)), share(latencyMs)]] : []),
    ...(error[0] === null ? [] : [["validation error", ...error.map((e) => percent(e!, 2)), ""]]),
  ];
  const done = layers.map((l) => [
    l.node,
    l.method,
    l.ranks.join(", "),
    share(l.macs),
    share(l.parameters),
    percent(l.error),
  ]);
  const left = notes.filter((n) => n.what === "skipped").map((n) => `left alone: ${n.node}: ${n.why}`);
  return [
    textTable(rows, ["", "before", "after", ""]),
    "",
    textTable(done, ["layer", "method", "rank", "MACs", "weights", "error"]),
    ...(left.length ? ["", ...left] : []),
    "",
    output,
  ].join("\n");
}
