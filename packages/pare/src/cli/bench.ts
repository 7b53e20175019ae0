/** pare bench: paired latency of one or two models in onnxruntime. */
import type { Command } from "commander";
import { latency } from "../engine/latency.js";
import { ortNode } from "../engine/ort-node.js";
import { textTable } from "../report/text.js";
import { load } from "./model.js";
import { positive, shape } from "./parse.js";
import { progress, result } from "./progress.js";

interface Options {
  runs: number;
  threads: number;
  shape?: Record<string, number[]>;
  json?: boolean;
}

export function bench(program: Command): void {
  program
    .command("bench")
    .description("time one model, or two in turn, in onnxruntime (.onnx or .pare)")
    .argument("<a>", "model")
    .argument("[b]", "a second model, run in turn with the first")
    .option("--runs <n>", "counted runs of each", positive, 100)
    .option("--threads <n>", "threads of onnxruntime", positive, 1)
    .option(
      "--shape <name=dims>",
      "dims of an input, where the model leaves them open (1 otherwise); may be repeated",
      shape,
    )
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare bench model.onnx\n  pare bench dense.onnx pruned.onnx --runs 300\n  pare bench model.onnx small.pare --shape x=8,3,224,224 --json",
    )
    .action(async (a: string, b: string | undefined, options: Options) => {
      const paths = b === undefined ? [a] : [a, b];
      const graphs = await Promise.all(paths.map(load));
      const timed = await latency(ortNode, graphs, {
        runs: options.runs,
        threads: options.threads,
        ...(options.shape ? { dims: options.shape } : {}),
        onRun: (run) => progress(`run ${run} of ${options.runs}`),
      });
      const medianMs = timed.map((t) => t.medianMs);
      const facts = { runs: options.runs, medianMs, ratio: medianMs.length === 2 ? medianMs[0]! / medianMs[1]! : null };
      result(options.json, facts, () => {
        const rows = timed.map((t, i) => [paths[i]!, t.minMs.toFixed(3), t.medianMs.toFixed(3), t.maxMs.toFixed(3)]);
        const table = textTable(rows, ["model", "min ms", "median ms", "max ms"]);
        return facts.ratio === null
          ? table
          : `${table}\nratio ${facts.ratio.toFixed(3)} (median of ${paths[0]} / median of ${paths[1]})`;
      });
    });
}
