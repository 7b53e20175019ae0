/** pare explain: what a quantized model loses where, why, what to do about it, and what keeps it from being faster. */
import type { Command } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { explain } from "../explain.js";
import { textTable } from "../report/text.js";
import { type DataOptions, dataOptions, openRuns } from "./data.js";
import { load } from "./model.js";
import { positive } from "./parse.js";
import { interruptible, progress, result } from "./progress.js";

interface Options extends DataOptions {
  json?: boolean;
  top: number;
}
const decibel = (v: number | null): string => (v === null ? "–" : `${v.toFixed(1)} dB`);
const percent = (v: number): string => `${(100 * v).toFixed(0)} %`;

export function explainCommand(program: Command): void {
  const command = program
    .command("explain")
    .description("say which layers of a quantized model lose the most, why, what to do, and why it is not faster")
    .argument("<model>", "the float model")
    .argument("<quantized>", "what it became, by Pare or by another quantizer")
    .option("--top <n>", "layers to print, those that lose most first", positive, 5);
  dataOptions(command)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare explain model.onnx small.onnx --data ./photos\n  pare explain model.onnx small.onnx --data ./samples.mjs --json",
    )
    .action(async (model: string, quantized: string, options: Options) => {
      const [float, small] = [await load(model), await load(quantized)];
      const samples = await openRuns(options, float, "test");
      const facts = await explain(float, small, samples, {
        engine: ortNode,
        signal: interruptible(),
        onProgress: ({ done, of }) => progress(`${done} of ${of} places that round`),
      });
      result(options.json, facts, () => textOf(facts, options.top));
    });
}

function textOf(facts: Awaited<ReturnType<typeof explain>>, top: number): string {
  const [before, after] = facts.latencyMs;
  const worst = facts.layers
    .slice(0, top)
    .flatMap((l, i) => [
      `${i + 1}. ${l.op} "${l.name}", its ${l.what}: ${l.cause} (alone ${decibel(l.snrDb)}, ${percent(l.share)} of the noise)`,
      `   ${l.why}`,
      `   to do: ${l.fix}`,
    ]);
  const slow = facts.float.filter((f) => f.share >= 0.005).map((f) => [f.op, f.count, percent(f.share), f.why]);
  return [
    `${facts.samples} samples: outputs ${facts.snrDb === null ? "are the same" : `have ${decibel(facts.snrDb)} signal to noise`}`,
    "",
    ...worst,
    "",
    `${before.toFixed(2)} ms became ${after.toFixed(2)} ms (${(after / before).toFixed(2)}): ${percent(facts.integerShare)} of it on integers, ${percent(facts.conversionShare)} on changing between integers and floats`,
    ...(slow.length > 0 ? ["", textTable(slow, ["in float", "nodes", "of the time", "why"])] : []),
  ].join("\n");
}
