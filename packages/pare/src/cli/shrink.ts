/** What prune and factorize share: a trained model and perhaps data enter; a smaller model is written, and its facts leave as lines. */
import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { write } from "../graph/file.js";
import type { Graph } from "../graph/graph.js";
import { type Note, targetNote } from "../methods/method.js";
import type { AloneOptions } from "../methods/tools.js";
import { textTable } from "../report/text.js";
import { evaluate } from "../train/evaluate.js";
import { type DataOptions, openTraining } from "./data.js";
import { load } from "./model.js";
import { positive, real, whole } from "./parse.js";
import { interruptible, progress, say } from "./progress.js";

export interface ShrinkOptions extends Omit<DataOptions, "data"> {
  data?: string;
  output: string;
  exclude: string[];
  samples: number;
  epochs: number;
  lr: number;
  seed: number;
  workers: number;
  json?: boolean;
}

const collect = (value: string, before: string[]): string[] => [...before, value];

/** The options that both have; `samples` says what they are for, `epochs` when there is fine-tuning. */
export function shrinkOptions(
  command: Command,
  o: { readonly samples: readonly [why: string, count: number]; readonly epochs: string; readonly lr: number },
): Command {
  return command
    .option("--exclude <name>", "a node or weight to leave alone; may be repeated", collect, [])
    .option("--samples <n>", `training samples that ${o.samples[0]}`, positive, o.samples[1])
    .option("--epochs <n>", `fine-tuning ${o.epochs}; 0: none`, whole, 0)
    .option("--lr <rate>", "learning rate of fine-tuning", real, o.lr)
    .option("--seed <n>", "seed of everything random", whole, 0)
    .option("--workers <n>", "threads of fine-tuning; the result does not depend on it", positive, 2)
    .option("--json", "print one JSON object");
}

/** Reads, shrinks and writes; with labelled data the result has the validation errors before and after, else nulls. */
export async function shrink<R extends { readonly graph: Graph }>(
  path: string,
  options: ShrinkOptions,
  by: (graph: Graph, tools: AloneOptions & { readonly engine: typeof ortNode }) => Promise<R>,
): Promise<R & { readonly error: readonly (number | null)[] }> {
  const graph = await load(path);
  const { data: source, seed, workers } = options;
  const parts = source === undefined ? null : await openTraining({ ...options, data: source });
  const { data = null, validation = null } = parts ?? {};
  const shared = { engine: ortNode, signal: interruptible() };
  const unfinished = `${options.output}.unfinished`;
  const result = await by(graph, {
    ...{ ...shared, data, validation, seed, workers, log: say, unfinished },
    onProgress: ({ epoch, epochs, step, steps, loss, secondsLeft }) =>
      progress(`epoch ${epoch} of ${epochs}, step ${step} of ${steps}, loss ${loss.toFixed(4)}`, secondsLeft),
  });
  await write(result.graph, options.output);
  await rm(unfinished, { recursive: true, force: true });
  const error: (number | null)[] = [];
  for (const g of [graph, result.graph])
    error.push(validation?.classes === undefined ? null : (await evaluate(g, validation, shared)).error);
  return { ...result, error };
}

type Pair = readonly [before: number, after: number];
export interface ShrinkFacts {
  readonly parameters: Pair;
  /** Where single weights may have gone. */
  readonly nonzero?: Pair;
  readonly macs: Pair;
  readonly sizeBytes: Pair;
  readonly latencyMs: Pair | null;
  readonly error: readonly (number | null)[];
  readonly notes: readonly Note[];
  readonly output: string;
}
export const percent = (v: number, digits = 1): string => `${(100 * v).toFixed(digits)} %`;
export const share = ([a, b]: Pair): string => percent(b / (a || 1));

/** Sizes before and after, the command's own table of layers, what is said of the target, what was left alone, the file. */
export function shrinkText(f: ShrinkFacts, layers: string | null): string {
  const rows: (string | number)[][] = [
    ["parameters", ...f.parameters, share(f.parameters)],
    ...(f.nonzero ? [["not zero", ...f.nonzero, share(f.nonzero)]] : []),
    ["MACs", ...f.macs, share(f.macs)],
    ["bytes", ...f.sizeBytes, share(f.sizeBytes)],
    ...(f.latencyMs ? [["ms per run", ...f.latencyMs.map((v) => v.toFixed(3)), share(f.latencyMs)]] : []),
    ...(f.error[0] === null ? [] : [["validation error", ...f.error.map((e) => percent(e!, 2)), ""]]),
  ];
  const left = f.notes
    .filter((n) => n.what === "skipped" || n.node === targetNote)
    .map((n) => (n.node === targetNote ? n.why : `left alone: ${n.node}: ${n.why}`));
  return [textTable(rows, ["", "before", "after", ""]), layers, left.join("\n"), f.output].filter(Boolean).join("\n\n");
}
