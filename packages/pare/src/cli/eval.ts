/** pare eval: error and loss of a model on data. */
import type { Command } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { textTable } from "../report/text.js";
import { evaluate } from "../train/evaluate.js";
import { suspectPixels } from "../train/suspect-pixels.js";
import { type DataOptions, dataOptions, openData } from "./data.js";
import { load } from "./model.js";
import { positive } from "./parse.js";
import { interruptible, progress, result, say } from "./progress.js";

interface Options extends DataOptions {
  batch: number;
  json?: boolean;
}

export function evalCommand(program: Command): void {
  const command = program
    .command("eval")
    .description("measure a model's error on data (.onnx or .pare)")
    .argument("<model>", "model");
  dataOptions(command)
    .option("--batch <n>", "samples per run", positive, 100)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare eval model.onnx --data mnist\n  pare eval small.pare --data test_batch.bin.br --normalize 0.4914,0.4822,0.4465/0.247,0.2435,0.2616 --json",
    )
    .action(async (path: string, options: Options) => {
      const graph = await load(path);
      const data = await openData(options, "test");
      const signal = interruptible();
      progress(`${data.length} samples`);
      const metrics = await evaluate(graph, data, {
        engine: ortNode,
        batchSize: options.batch,
        signal,
      });
      const hint = await suspectPixels(graph, data, { engine: ortNode, signal });
      if (hint) say(hint);
      const { samples, error, top1, top5, loss } = metrics;
      result(options.json, { samples, error, top1, top5, loss }, () => {
        const percent = (r: number) => (Number.isFinite(r) ? `${(100 * r).toFixed(2)} %` : "–");
        return textTable(
          [[samples, percent(error), percent(top1), percent(top5), loss.toFixed(4)]],
          ["samples", "error", "top-1", "top-5", "loss"],
        );
      });
    });
}
