/** pare train: a built-in network or a user's model, trained on data. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { ortNode } from "../engine/ort-node.js";
import { PareError } from "../graph/error.js";
import { write } from "../graph/file.js";
import { network, networkNames } from "../methods/architecture/networks.js";
import { textTable } from "../report/text.js";
import { evaluate } from "../train/evaluate.js";
import type { OptimizerOptions } from "../train/options.js";
import { train } from "../train/train.js";
import { type DataOptions, dataOptions, openTraining } from "./data.js";
import { load } from "./model.js";
import { checkOutput } from "./output.js";
import { positive, ratio, real, whole } from "./parse.js";
import { interruptible, progress, result, say } from "./progress.js";

interface Options extends DataOptions {
  output: string;
  epochs: number;
  lr: number;
  schedule: "constant" | "cosine" | "linear";
  optimizer: string;
  momentum: number;
  l1: number;
  l2: number;
  batch: number;
  microBatch: number;
  crop?: number;
  shift?: number;
  flip?: boolean;
  patience?: number;
  seed: number;
  workers: number;
  json?: boolean;
}

function optimizer(options: Options): OptimizerOptions {
  const { optimizer: kind, momentum } = options;
  if (kind === "sgd") return { kind, momentum };
  if (kind === "nesterov") return { kind: "sgd", momentum, nesterov: true };
  if (kind === "adam" || kind === "adamw" || kind === "rmsprop") return { kind };
  throw new PareError(`--optimizer ${kind}: expected sgd, nesterov, adam, adamw or rmsprop`, "usage");
}

export function trainCommand(program: Command): void {
  const command = program
    .command("train")
    .description("train a built-in network or a model of your own")
    .argument("<network|model.onnx>", `${networkNames.join(", ")}, or a file`);
  dataOptions(command)
    .requiredOption("-o, --output <file>", "file to write; <file>.checkpoint beside it lets the same command continue")
    .option("--epochs <n>", "passes over the data", positive, 10)
    .option("--lr <rate>", "learning rate", real, 0.05)
    .option("--schedule <kind>", "constant, cosine or linear", "cosine")
    .option("--optimizer <kind>", "sgd, nesterov, adam, adamw or rmsprop", "nesterov")
    .option("--momentum <m>", "of sgd and nesterov", real, 0.9)
    .option("--l1 <factor>", "L1 penalty on weights", real, 0)
    .option("--l2 <factor>", "L2 penalty on weights", real, 0)
    .option("--batch <n>", "samples per step", positive, 128)
    .option("--micro-batch <n>", "samples per gradient run; BatchNormalization sees this many", positive, 64)
    .option("--crop <share>", "random windows of the images, sides at least this share (0.8 or 80%), enlarged", ratio)
    .option("--shift <pixels>", "random shifts of the images", positive)
    .option("--flip", "random horizontal flips of the images")
    .option("--patience <epochs>", "stop after so many epochs without improvement", positive)
    .option("--seed <n>", "seed of everything random", whole, 0)
    .option("--workers <n>", "threads; the trained bytes do not depend on it", positive, 2)
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nExamples:\n  pare train lenet-300-100 --data mnist -o lenet.onnx\n  pare train model.onnx --data ./photos --epochs 5 --lr 0.001 --optimizer adam -o tuned.onnx",
    )
    .action(async (what: string, options: Options) => {
      await checkOutput(options.output, what);
      if (!networkNames.includes(what) && !existsSync(what))
        throw new PareError(
          `${what}: no such file, and no network of that name (there are ${networkNames.join(", ")})`,
        );
      const graph = networkNames.includes(what) ? network(what, { seed: options.seed }) : await load(what);
      if (!["constant", "cosine", "linear"].includes(options.schedule))
        throw new PareError(`--schedule ${options.schedule}: expected constant, cosine or linear`, "usage");
      const { data, validation } = await openTraining(options);
      const checkpoint = `${options.output}.checkpoint`;
      const { crop, shift, flip, patience } = options;
      const trained = await train(graph, {
        data,
        validation,
        epochs: options.epochs,
        batchSize: options.batch,
        microBatch: Math.min(options.microBatch, options.batch),
        optimizer: optimizer(options),
        learningRate: { kind: options.schedule, rate: options.lr },
        weightDecay: { l1: options.l1, l2: options.l2 },
        ...(crop !== undefined || shift || flip
          ? { augment: { crop: crop ?? 1, shift: shift ?? 0, flip: flip ?? false } }
          : {}),
        ...(patience ? { patience } : {}),
        seed: options.seed,
        workers: options.workers,
        engine: ortNode,
        checkpoint: { path: checkpoint },
        signal: interruptible(),
        onProgress: (p) =>
          progress(
            `epoch ${p.epoch} of ${p.epochs}, step ${p.step} of ${p.steps}, loss ${p.loss.toFixed(4)}`,
            p.secondsLeft,
          ),
        onEpoch: (m) =>
          say(
            `epoch ${m.epoch}: loss ${m.loss.toFixed(4)}, validation error ${(100 * (m.validation?.error ?? Number.NaN)).toFixed(2)} %, ${m.seconds.toFixed(1)} s`,
          ),
      });
      await write(trained.graph, options.output);
      await rm(checkpoint, { force: true });
      const metrics = await evaluate(trained.graph, validation, { engine: ortNode });
      const facts = {
        model: what,
        seed: options.seed,
        epochs: trained.history,
        validation: metrics,
        output: options.output,
      };
      result(options.json, facts, () =>
        textTable(
          [[trained.history.length, `${(100 * metrics.error).toFixed(2)} %`, metrics.loss.toFixed(4), options.output]],
          ["epochs", "validation error", "loss", "file"],
        ),
      );
    });
}
