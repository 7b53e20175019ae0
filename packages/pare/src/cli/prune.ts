/** pare prune: a trained model -> the same with fewer weights, or with narrower layers. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { PareError } from "../graph/error.js";
import { type LassoKind, lassoKinds } from "../methods/prune/group-lasso.js";
import { criteria } from "../methods/prune/magnitude.js";
import { rankings } from "../methods/prune/structured.js";
import { type PruneFacts, type PruneMethod, type PruneOptions, prune } from "../prune.js";
import { pruningPage } from "../report/pruning.js";
import { textTable } from "../report/text.js";
import { dataOptions } from "./data.js";
import { checkOutput } from "./output.js";
import { positive, ratio, real, target } from "./parse.js";
import { result } from "./progress.js";
import { type ShrinkOptions, shrink, shrinkOptions, shrinkText } from "./shrink.js";

interface Options extends ShrinkOptions {
  report?: string;
  structured?: boolean;
  method?: string;
  target?: { readonly macs?: number; readonly bytes?: number; readonly latency?: number };
  sparsity?: number;
  pattern?: string;
  allocation?: string;
  roundTo?: number;
  repair?: string;
  strength?: number;
  groups?: readonly LassoKind[];
  steps: number;
}

const structuredOnly = ["target", "roundTo", "repair", "strength", "groups"] as const;
/** Methods that remove channels by training under a penalty. */
const pressing = ["group-lasso", "growing"] as const;
const flags: Readonly<Record<string, string>> = { roundTo: "--round-to" };

/** The method and its options that the flags mean. Throws PareError (usage) for flags that do not go together. */
function chosen(o: Options): Pick<PruneOptions, "method" | "options"> {
  const refuse = (key: string, why: string): never => {
    throw new PareError(`${flags[key] ?? `--${key}`}: ${why}`, "usage");
  };
  const known = o.structured ? [...rankings, ...pressing] : [...criteria, "sparsegpt"];
  const name = o.method ?? (o.structured ? "l2" : "lamp");
  if (!known.includes(name))
    refuse(
      "method",
      `${name}: ${o.structured ? "with --structured" : "without --structured"} there are ${known.join(", ")}`,
    );
  const training = { train: { epochs: o.epochs, learningRate: o.lr } };
  const { exclude, samples, steps } = o;
  if (o.structured) {
    for (const key of ["sparsity", "pattern"] as const)
      if (o[key] !== undefined) refuse(key, "is for single weights; with --structured say --target macs=0.5");
    const press = pressing.find((m) => m === name);
    if (press) return { method: press, options: pressingOptions(o, press, refuse) };
    for (const key of ["strength", "groups"] as const)
      if (o[key] !== undefined) refuse(key, "goes with --method group-lasso");
    const { target, allocation, roundTo, repair } = o;
    const given = Object.fromEntries(
      Object.entries({ target, allocation, roundTo, repair }).filter(([, v]) => v !== undefined),
    );
    return { method: "structured", options: { importance: name, exclude, samples, steps, ...given, ...training } };
  }
  for (const key of structuredOnly) if (o[key] !== undefined) refuse(key, "goes with --structured");
  if (name === "sparsegpt") {
    if (o.epochs > 0) refuse("epochs", "sparsegpt does not train; prune by another method, or train its result");
    const { sparsity = 0.5, pattern, allocation } = o;
    const given = Object.fromEntries(Object.entries({ pattern, allocation }).filter(([, v]) => v !== undefined));
    return { method: "sparsegpt", options: { sparsity, exclude, samples, ...given } };
  }
  for (const key of ["pattern", "allocation"] as const)
    if (o[key] !== undefined) refuse(key, "goes with --structured or with --method sparsegpt");
  const { sparsity = 0.9 } = o;
  return {
    method: "magnitude" as PruneMethod,
    options: { criterion: name, sparsity, exclude, samples, steps, ...training },
  };
}

function pressingOptions(
  o: Options,
  name: (typeof pressing)[number],
  refuse: (key: string, why: string) => never,
): object {
  if (o.epochs === 0) refuse("epochs", `${name} removes channels by training: say how long, 1 or more`);
  if (o.repair !== undefined) refuse("repair", `${name} has nothing to repair`);
  const { exclude, epochs, lr: learningRate, strength, groups, target, allocation, roundTo } = o;
  const both = { train: { epochs, learningRate }, finetune: { epochs, learningRate } };
  const own = name === "growing" ? { target, allocation, roundTo } : { strength, groups };
  for (const [key, value] of Object.entries({ target, allocation, roundTo, strength, groups }))
    if (value !== undefined && !(key in own)) refuse(key, `is not for --method ${name}`);
  return { exclude, ...both, ...Object.fromEntries(Object.entries(own).filter(([, v]) => v !== undefined)) };
}

export function pruneCommand(program: Command): void {
  const command = program
    .command("prune")
    .description(
      "remove weights of a trained model, or (--structured) whole channels, so that every engine runs it faster",
    )
    .argument("<model>", "trained model, .onnx or .pare");
  dataOptions(command, false)
    .requiredOption(
      "-o, --output <file>",
      "file to write, .onnx; <file>.unfinished beside it lets the same command go on",
    )
    .option("--report <file>", "page to write, .html: widths before and after, measured times, what was left alone")
    .option("--structured", "remove whole coupled channels")
    .option(
      "--method <name>",
      `what is ranked by; weights: ${criteria.join(", ")}, sparsegpt (lamp unless said); channels: ${rankings.join(", ")} (l2 unless said), or by training under a penalty: ${pressing.join(", ")}`,
    )
    .option(
      "--target <kind=share>",
      "channels: what may be left: macs=0.5, bytes=0.5 or latency=0.5 (timed here), or several, as macs=0.5,latency=0.6",
      target,
    )
    .option("--sparsity <ratio>", "weights: the share to remove (0.9; sparsegpt 0.5)", ratio)
    .option("--pattern <n:m>", "sparsegpt: of every m weights of a row n go")
    .option(
      "--allocation <kind>",
      "channels: uniform, global or sensitivity (measured; the default with data); sparsegpt: uniform or lamp",
    )
    .option(
      "--round-to <n>",
      "channels: widths are multiples of n (what is faster on this machine unless said)",
      positive,
    )
    .addOption(
      new Option("--repair <kind>", "channels: what is done without training").choices([
        "reconstruct",
        "statistics",
        "none",
      ]),
    )
    .option("--strength <number>", "group-lasso: weight of the groups' norms in the loss (0.005)", real)
    .option(
      "--groups <kinds>",
      `group-lasso: what becomes zero as one, joined by commas: ${lassoKinds.join(", ")} (filters,channels)`,
      kinds,
    )
    .option("--steps <n>", "so many cuts, with fine-tuning between", positive, 1);
  shrinkOptions(command, { samples: ["are measured and repaired on", 256], epochs: "after each cut", lr: 0.01 })
    .addHelpText(
      "after",
      "\nExamples:\n  pare prune model.onnx --structured --target macs=0.5 --data ./photos -o half.onnx --report half.html\n  pare prune model.onnx --structured --target latency=0.6 --data ./photos --epochs 5 -o fast.onnx\n  pare prune model.onnx --method sparsegpt --sparsity 0.5 --data ./photos -o sparse.onnx --json",
    )
    .action(async (path: string, options: Options) => {
      const method = chosen(options);
      const { output } = options;
      await checkOutput(output, path);
      if (options.report !== undefined) {
        await checkOutput(options.report, path);
        if (resolve(options.report) === resolve(output))
          throw new PareError(`--report: ${output} is the model to write; name another file`, "usage");
      }
      const { facts, notes, error } = await shrink(path, options, (graph, tools) =>
        prune(graph, { ...tools, ...method }),
      );
      const all = { model: path, method: method.method, output, ...facts, error, notes };
      if (options.report !== undefined) await writeFile(options.report, pruningPage(all));
      result(options.json, all, () => shrinkText(all, widthTable(all.widths)));
    });
}

/** "filters,blocks". */
function kinds(value: string): readonly LassoKind[] {
  const wanted = value.split(",").map((k) => k.trim());
  const unknown = wanted.find((k) => !lassoKinds.some((kind) => kind === k));
  if (unknown !== undefined) throw new InvalidArgumentError(`"${unknown}": there are ${lassoKinds.join(", ")}.`);
  return wanted as LassoKind[];
}

function widthTable(widths: PruneFacts["widths"]): string | null {
  const narrower = widths.filter((w) => w.after < w.before).map((w) => [w.layer, w.before, w.after]);
  return narrower.length ? textTable(narrower, ["layer", "channels", "now"]) : null;
}
