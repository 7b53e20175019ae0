/** The training that methods do between their steps, as options of a recipe: zod object -> what `train` is told. */
import { z } from "zod";
import type { Graph } from "../graph/graph.js";
import type { Schedule, TrainOptions } from "../train/options.js";
import type { Tools } from "./method.js";

export const ratio = z.number().min(0).max(1);

export const fineTune = z
  .strictObject({
    epochs: z
      .union([z.number().int().nonnegative(), z.literal("auto")])
      .default("auto")
      .describe("passes over the training data; auto: as many as show about 400,000 samples, at least 2, at most 30"),
    batchSize: z.number().int().positive().default(128),
    microBatch: z
      .number()
      .int()
      .positive()
      .optional()
      .describe("samples per gradient run; BatchNormalization sees this many"),
    optimizer: z.enum(["sgd", "adam", "adamw", "rmsprop"]).default("sgd").describe("sgd: momentum 0.9 with Nesterov"),
    learningRate: z.number().positive().default(0.01),
    schedule: z.enum(["constant", "linear", "cosine"]).default("cosine").describe("linear and cosine end at 0"),
    l1: z.number().nonnegative().default(0),
    l2: z.number().nonnegative().default(0),
    clipNorm: z
      .number()
      .positive()
      .optional()
      .describe("limit of the gradient's norm over all weights; unless said 1 with sgd, none with the others"),
    softTargets: z
      .strictObject({ temperature: z.number().positive().default(3), weight: ratio.default(1) })
      .nullable()
      .default({ temperature: 3, weight: 1 })
      .describe("learn from the dense network's own outputs (Hinton, Vinyals, Dean 2015); weight 1: from them alone"),
    dropout: z
      .union([ratio, z.record(z.string(), ratio)])
      .optional()
      .describe("ratio of every Dropout node, or by node name; else the ratios in the graph"),
    crop: z
      .number()
      .positive()
      .max(1)
      .optional()
      .describe("augmentation: a random window, its sides at least this share of the image's, enlarged"),
    shift: z.number().int().nonnegative().default(0).describe("augmentation: images moved by up to this many pixels"),
    flip: z.boolean().default(false).describe("augmentation: images mirrored at random"),
  })
  .prefault({});
export type FineTune = z.output<typeof fineTune>;

/** Passes over `samples` training samples. */
export const epochsOf = (options: Pick<FineTune, "epochs">, samples: number): number =>
  options.epochs === "auto" ? Math.min(30, Math.max(2, Math.round(400_000 / samples))) : options.epochs;

export type Training = Omit<TrainOptions, "data" | "validation" | "seed" | "engine">;

/** What `train` is told by a recipe's fine-tune options. */
export function trainingOf(options: FineTune, graph: Graph, tools: Pick<Tools, "dense" | "data">): Training {
  const { optimizer, schedule, learningRate, l1, l2, crop, shift, flip, softTargets } = options;
  const rate: Schedule = { kind: schedule, rate: learningRate };
  return {
    epochs: epochsOf(options, tools.data?.length ?? 0),
    batchSize: options.batchSize,
    ...(options.microBatch ? { microBatch: options.microBatch } : {}),
    optimizer: optimizer === "sgd" ? { kind: "sgd", momentum: 0.9, nesterov: true } : { kind: optimizer },
    learningRate: rate,
    weightDecay: { l1, l2 },
    ...limitOf(options),
    ...(softTargets ? { softTargets: { teacher: tools.dense, ...softTargets } } : {}),
    dropout: dropoutOf(options, graph),
    ...(crop || shift || flip ? { augment: { ...(crop ? { crop } : {}), shift, flip } } : {}),
    keepBest: false,
  };
}

/**
 * A cut, a penalty or shared values throw a network off its teacher, where the loss on soft targets is steep: there plain steps grow from one to the
 * next until nothing is finite. Adaptive ones have a size of their own.
 */
const limitOf = ({ clipNorm, optimizer }: FineTune): { clipNorm?: number } => {
  const limit = clipNorm ?? (optimizer === "sgd" ? 1 : undefined);
  return limit === undefined ? {} : { clipNorm: limit };
};

/** Names and ratios of the graph's Dropout nodes under these options; nodes whose ratio is computed keep it. */
export function dropoutOf(options: Pick<FineTune, "dropout">, graph: Graph): Record<string, number> {
  const { dropout } = options;
  if (dropout === undefined) return {};
  const names = graph.nodes.filter((n) => n.op === "Dropout").map((n) => n.name);
  return typeof dropout === "number" ? Object.fromEntries(names.map((n) => [n, dropout])) : dropout;
}
