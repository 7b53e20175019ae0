/** pare quantize: a model and samples in; the model in fewer bits out, with what became of each layer. */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import type { Samples } from "../data/samples.js";
import { ortNode } from "../engine/ort-node.js";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import { write } from "../graph/file.js";
import type { Graph } from "../graph/graph.js";
import type { Target } from "../quantization/plan.js";
import { verify } from "../quantization/verify.js";
import { formats, missed } from "../quantize/facts.js";
import { emptyMemory } from "../quantize/workbench.js";
import { quantize } from "../quantize.js";
import { textTable } from "../report/text.js";
import { type DataOptions, dataOptions, openRuns } from "./data.js";
import { load } from "./model.js";
import { checkOutput } from "./output.js";
import { positive, ratio } from "./parse.js";
import { interruptible, progress, result, say } from "./progress.js";

interface Options extends DataOptions {
  output: string;
  format: (typeof formats)[number];
  target: Target;
  maxDrop?: number;
  maxBytes?: number;
  maxLatency?: number;
  force?: boolean;
  json?: boolean;
}
/** Calibration samples unless --limit says otherwise. */
const usualSamples = 100;

export function quantizeCommand(program: Command): void {
  const command = program
    .command("quantize")
    .description("store a trained model in fewer bits, without training: smaller and faster, as accurate as can be")
    .argument("<model>", "trained model, .onnx or .pare");
  dataOptions(command, false)
    .requiredOption("-o, --output <file>", "file to write")
    .addOption(new Option("--format <format>", "how numbers are stored").choices(formats).default("auto"))
    .addOption(
      new Option("--target <runtime>", "where the result shall run")
        .choices(["ort-node", "ort-web-wasm", "ort-web-webgpu", "pare"])
        .default("ort-node"),
    )
    .option(
      "--max-drop <ratio>",
      "allowed loss on the samples, as 0.5% or 0.005: rise of the error where they have labels, else answers unlike the float model's",
      ratio,
    )
    .option("--max-bytes <n>", "largest file allowed; layers go to four bits until it fits", positive)
    .option("--max-latency <ratio>", "longest run allowed, as a ratio to the float model's, as 0.6 or 60%", ratio)
    .option("--force", "write the result even where it is larger than the model, or loses more than --max-drop")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Without --data only weights are stored in fewer bits. Some tens of samples suffice (--limit, ${usualSamples} unless given); labels are not needed.
Where --max-drop cannot be met by any layers in float, eight-bit weights or half floats, nothing is written, and the exit code is 1.
Where --max-bytes or --max-latency cannot be met, the nearest result is written all the same, and the exit code is 1.
A search that was stopped with Ctrl-C writes the best so far, and goes on when the same command is given again.

Examples:
  pare quantize model.onnx --data ./photos -o small.onnx
  pare quantize model.onnx --data ./samples.mjs --limit 64 -o small.onnx --json
  pare quantize model.onnx --data ./photos --max-drop 0.5% -o small.onnx
  pare quantize model.onnx --format weights8 -o small.onnx`,
    )
    .action(async (path: string, options: Options) => {
      await checkOutput(options.output, path);
      const graph = await load(path);
      const samples = options.data
        ? await openRuns({ ...options, limit: options.limit ?? usualSamples }, graph, "train")
        : null;
      const search = memoryAt(`${options.output}.search.json`, toBytes(graph), [
        options.data,
        options.split,
        options.limit,
        options.normalize,
        options.target,
      ]);
      const signal = interruptible();
      try {
        await searchAndWrite(path, graph, samples, options, search, signal);
      } catch (error) {
        // Only what the user stopped is to go on.
        if (!signal.aborted) search.forget();
        throw error;
      }
    });
}

/** The command from the search to the file and the facts; throws PareError where nothing may be written. */
async function searchAndWrite(
  path: string,
  graph: Graph,
  samples: Samples | null,
  options: Options,
  search: ReturnType<typeof memoryAt>,
  signal: AbortSignal,
): Promise<void> {
  const {
    graph: small,
    facts,
    notes,
    stopped,
  } = await quantize(graph, {
    ...(samples ? { samples } : {}),
    format: options.format,
    target: options.target,
    model: path,
    engine: ortNode,
    ...(options.maxDrop === undefined ? {} : { maxDrop: options.maxDrop }),
    ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
    ...(options.maxLatency === undefined ? {} : { maxLatency: options.maxLatency }),
    memory: search.memory,
    signal,
    log: (line) => {
      search.save();
      progress(line);
    },
  });
  const [before, after] = facts.sizeBytes;
  if (after >= before && !options.force)
    throw new PareError(
      `the result would have ${after} bytes, the model has ${before}: nothing was written (--force writes it all the same)`,
    );
  const drop = facts.limits.find((l) => l.name === "max-drop" && !l.held);
  if (drop && !stopped && !options.force)
    throw new PareError(`${missed(drop)}: nothing was written (--force writes it all the same)`);
  const verified = await verify(small, options.target, samples ? [samples.feeds(0)] : []);
  if (verified.runs === false)
    throw new PareError(`the result does not run on ${options.target}, nothing was written: ${verified.note}`);
  say(verified.note);
  await write(small, options.output);
  if (stopped) search.save();
  else search.forget();
  for (const note of notes) say(note);
  const all = { ...facts, peakBytes: peakBytes() };
  result(options.json, all, () => textOf(all, options.output));
  if (stopped) process.exitCode = 130;
  else if (facts.limits.some((l) => !l.held)) process.exitCode = 1;
}

type Facts = Awaited<ReturnType<typeof quantize>>["facts"];
function textOf(facts: Facts, output: string): string {
  const { layers, kernels, limits, sizeBytes, format, quantized, eligible, snrDb, agreement } = facts;
  const [before, after] = sizeBytes;
  const same = agreement === null ? "" : `, same class ${(100 * agreement).toFixed(1)} %`;
  const noise = snrDb === null ? "not measured" : `${snrDb.toFixed(1)} dB${same}`;
  return [
    textTable(
      layers.map((l) => [
        l.name,
        l.op,
        l.format,
        l.kernel ?? "–",
        l.snrDb === null ? "–" : `${l.snrDb.toFixed(1)} dB`,
        l.reason,
      ]),
      ["layer", "operator", "format", "kernel", "signal to noise", "why"],
    ),
    "",
    `${format}: ${quantized} of ${eligible} layers, signal to noise ${noise}`,
    ...(kernels
      ? [
          `onnxruntime's profile: ${kernels.integers} nodes run on integers, ${kernels.floats} in float, ${kernels.conversion} change between them`,
        ]
      : []),
    ...limits.map((l) => `${l.name} ${l.allowed}: ${l.held ? "held" : "NOT MET"}, ${l.reached ?? "not measured"}`),
    `${before.toLocaleString("en-US")} to ${after.toLocaleString("en-US")} bytes (${(after / before).toFixed(2)}): ${output}`,
  ].join("\n");
}

const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

/** Verdicts and times of a search beside its output, as long as it is unfinished. */
function memoryAt(path: string, model: Uint8Array, settings: readonly unknown[]) {
  const key = createHash("sha256").update(model).update(JSON.stringify(settings)).digest("hex");
  const memory = emptyMemory();
  try {
    const saved = JSON.parse(readFileSync(path, "utf8")) as Record<"key" | keyof typeof memory, never>;
    if (saved.key === key)
      for (const part of ["verdicts", "times"] as const)
        for (const [k, v] of saved[part] as [string, never][]) memory[part].set(k, v);
  } catch {
    // There is none, or it is of no use: the search begins anew.
  }
  return {
    memory,
    save: () => {
      writeFileSync(`${path}.tmp`, JSON.stringify({ key, verdicts: [...memory.verdicts], times: [...memory.times] }));
      renameSync(`${path}.tmp`, path);
    },
    forget: () => rmSync(path, { force: true }),
  };
}
