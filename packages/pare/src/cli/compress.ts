/** pare compress: a model and data in; a folder with the packed file, the same as .onnx, and the report out. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import type { CompressOptions } from "../compress/job.js";
import { compress } from "../compress.js";
import { ortNode } from "../engine/ort-node.js";
import { PareError } from "../graph/error.js";
import { recipes } from "../recipes/recipes.js";
import type { ReportFacts } from "../report/facts.js";
import { stageTable } from "../report/text.js";
import { type DataOptions, dataOptions, openAll } from "./data.js";
import { load } from "./model.js";
import { positive, ratio, whole } from "./parse.js";
import { interruptible, progress, result, say } from "./progress.js";

interface Options extends DataOptions {
  testData?: string;
  recipe: string;
  maxDrop?: number;
  output: string;
  seed: number;
  workers: number;
  json?: boolean;
}

/** What `compress` and `demo` share: progress with an ETA, one line per stage, Ctrl-C that keeps what is done. */
export const onTerminal = (): Pick<CompressOptions, "onProgress" | "log" | "engine" | "signal"> => ({
  engine: ortNode,
  signal: interruptible(),
  log: say,
  onProgress: (p) =>
    progress(
      `${p.stage} (${p.index + 1} of ${p.stages}): epoch ${p.epoch} of ${p.epochs}, loss ${p.loss.toFixed(4)}`,
      p.secondsLeft,
    ),
});

/** The run's facts on stdout: one JSON object, or the stage table and where the report is. */
export function present(json: boolean | undefined, { model, seed, stages, output, report, notes }: ReportFacts): void {
  const skipped = notes.filter((n) => n.what === "skipped").map((n) => `left alone in ${n.stage}: ${n.node}: ${n.why}`);
  result(json, { model, seed, stages, output, report }, () =>
    [stageTable(stages), "", ...skipped, `packed   ${output}`, `report   ${report}`].join("\n"),
  );
}

/** A built-in recipe's name, or a JSON file. */
async function recipeAt(nameOrPath: string): Promise<NonNullable<CompressOptions["recipe"]>> {
  if (Object.hasOwn(recipes, nameOrPath) || !nameOrPath.endsWith(".json")) return nameOrPath;
  const text = await readFile(nameOrPath, "utf8").catch((cause) => {
    throw new PareError(`recipe ${nameOrPath}: ${(cause as Error).message}`, "usage", { cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PareError(`recipe ${nameOrPath}: not JSON: ${(cause as Error).message}`, "usage", { cause });
  }
}

export function compressCommand(program: Command): void {
  const command = program
    .command("compress")
    .description("prune, share and pack a trained model by a recipe, with fine-tuning on your data")
    .argument("<model>", "trained model, .onnx or .pare");
  dataOptions(command)
    .option("--test-data <source>", "other data for the errors in the report (the source's own test part otherwise)")
    .option("--recipe <name|file.json>", `${Object.keys(recipes).join(", ")}, or a file`, "deep-compression")
    .option(
      "--max-drop <ratio>",
      "allowed rise of the validation error, as 0.5% or 0.005; the smallest result within it is kept",
      ratio,
    )
    .requiredOption("-o, --output <folder>", "folder for model.pare, model.onnx, report.html and report.json")
    .option("--seed <n>", "seed of everything random", whole, 0)
    .option("--workers <n>", "threads; the result does not depend on it", positive, 2)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nA run that was interrupted goes on when the same command is given again.\n\nExamples:\n  pare compress model.onnx --data mnist -o small\n  pare compress model.onnx --data ./photos --max-drop 0.5% -o small --json",
    )
    .action(async (path: string, options: Options) => {
      const graph = await load(path);
      const data = await openAll(options);
      const { facts } = await compress(graph, {
        ...onTerminal(),
        data,
        out: options.output,
        recipe: await recipeAt(options.recipe),
        seed: options.seed,
        workers: options.workers,
        model: path,
        ...(options.maxDrop === undefined ? {} : { maxDrop: options.maxDrop }),
      });
      present(options.json, facts);
    });
}
