/** pare compare: how alike two models answer. */
import type { Command } from "commander";
import { compare } from "../compare.js";
import { ortNode } from "../engine/ort-node.js";
import { textTable } from "../report/text.js";
import { type DataOptions, dataOptions, openRuns } from "./data.js";
import { load } from "./model.js";
import { interruptible, progress, result } from "./progress.js";

const decibel = (v: number | null): string => (v === null ? "same" : `${v.toFixed(2)} dB`);
const percent = (v: number | null): string => (v === null ? "–" : `${(100 * v).toFixed(2)} %`);

export function compareCommand(program: Command): void {
  const command = program
    .command("compare")
    .description("run two models on the same data: signal to noise, agreement and errors, by output and by layer")
    .argument("<a>", "the model to go by")
    .argument("<b>", "the other");
  dataOptions(command)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare compare model.onnx quantized.onnx --data ./photos --limit 200\n  pare compare model.onnx small.pare --data mnist --json",
    )
    .action(async (a: string, b: string, options: DataOptions & { json?: boolean }) => {
      const [first, second] = [await load(a), await load(b)];
      const samples = await openRuns(options, first, "test");
      const facts = await compare(first, second, samples, {
        engine: ortNode,
        signal: interruptible(),
        onProgress: ({ done, of }) => progress(`${done} of ${of} samples`),
      });
      result(options.json, facts, () =>
        [
          `${facts.samples} samples: ${decibel(facts.snrDb)}, same class ${percent(facts.agreement)}, errors ${facts.error.map(percent).join(" and ")}`,
          "",
          textTable(
            facts.outputs.map((o) => [o.name, decibel(o.snrDb), o.cosine.toFixed(6), o.maxDifference.toPrecision(3)]),
            ["output", "signal to noise", "cosine", "largest difference"],
          ),
          ...(facts.layers.length > 0
            ? [
                "",
                textTable(
                  facts.layers.map((l) => [l.name, l.op, decibel(l.snrDb), l.cosine.toFixed(6)]),
                  ["layer", "operator", "signal to noise", "cosine"],
                ),
              ]
            : []),
        ].join("\n"),
      );
    });
}
