/** A factorizer enters, the method that a recipe names leaves: options, ranks, factorization, fine-tuning. */
import { z } from "zod";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import type { Factorizer } from "../linear/factorizer.js";
import { usualRidge } from "../linear/problem.js";
import { type FactorizedLayer, factorizeLayers } from "./factorize-layers.js";
import { epochsOf, fineTune, ratio, trainingOf } from "./fine-tune.js";
import { type Method, type MethodResult, method, type Tools } from "./method.js";
import type { RankGoal, RankTarget } from "./rank-plan.js";

const rank = z.number().int().positive();
export const lowRankOptions = z.strictObject({
  target: z
    .union([
      z.strictObject({ macs: ratio }),
      z.strictObject({ bytes: ratio }),
      z.strictObject({ latency: ratio.describe("measured on this machine: results differ from machine to machine") }),
      z.strictObject({ energy: ratio.describe("the smallest ranks that keep this share of every layer's answers") }),
      z.literal("vbmf").describe("the ranks that variational Bayes takes for more than noise"),
    ])
    .optional()
    .describe(
      "share of the multiply-accumulates, bytes of weights or time of one run that may be left, half of the first where neither this nor ranks are said",
    ),
  ranks: z
    .record(z.string(), z.union([rank, z.array(rank).min(1)]))
    .default({})
    .describe("ranks by node or weight; for Tucker-2 two, input then output; without a target no other layer changes"),
  exclude: z.array(z.string()).default([]).describe("nodes or weights to leave as they are"),
  samples: z
    .number()
    .int()
    .positive()
    .default(512)
    .describe("training samples whose layer inputs the errors are measured on"),
  rounds: z
    .number()
    .int()
    .nonnegative()
    .default(4)
    .describe("how often factors without a closed form are fitted in turn"),
  dataAware: z
    .boolean()
    .default(true)
    .describe("least error of the answers on the data; else least error of the weights"),
  ridge: z
    .number()
    .min(1e-9)
    .default(usualRidge)
    .describe("weight of staying as it is, times the mean power of the layer's inputs"),
  measure: z
    .boolean()
    .default(true)
    .describe("refuse what is not faster on this machine; false for the same result on every machine and in every run"),
  train: fineTune,
});
export type LowRankOptions = z.output<typeof lowRankOptions>;
export type LowRankInput = z.input<typeof lowRankOptions>;
export interface LowRankResult extends MethodResult {
  readonly layers: readonly FactorizedLayer[];
}

/** The goal of these options. */
export function goalOf({ target, ranks }: LowRankOptions): RankGoal {
  if (target === undefined) return Object.keys(ranks).length > 0 ? { kind: "ranks" } : { kind: "macs", share: 0.5 };
  if (target === "vbmf") return { kind: "vbmf" };
  if ("energy" in target) return { kind: "energy", keep: target.energy };
  const [[kind, share]] = Object.entries(target) as [[RankTarget["kind"], number]];
  return { kind, share };
}

/** Factorises and fine-tunes. */
export async function lowRankStage(
  graph: Graph,
  o: LowRankOptions,
  tools: Tools,
  factorizers: readonly Factorizer[],
): Promise<LowRankResult> {
  const goal = goalOf(o);
  if ("share" in goal && goal.share === 1 && Object.keys(o.ranks).length === 0) return { graph, notes: [], layers: [] };
  const { engine, seed, signal } = tools;
  const { masks, codebooks } = tools.constraints;
  if (codebooks.size > 0)
    throw new PareError(
      `"${[...codebooks.keys()][0]}" already shares its values: factorise before quantizing`,
      "usage",
    );
  const result = await tools.settled(() =>
    factorizeLayers(graph, {
      factorizers,
      goal,
      ranks: Object.fromEntries(Object.entries(o.ranks).map(([name, r]) => [name, [r].flat()])),
      data: o.dataAware ? tools.data : null,
      samples: o.samples,
      rounds: o.rounds,
      ridge: o.ridge,
      exclude: o.exclude,
      pruned: new Set(masks.keys()),
      measure: o.measure,
      engine,
      seed,
      signal,
      log: tools.log,
    }),
  );
  if (result.layers.length === 0 || epochsOf(o.train, tools.data?.length ?? 0) === 0) return result;
  const trained = await tools.train(result.graph, trainingOf(o.train, result.graph, tools));
  return { ...result, graph: trained.graph, history: trained.history };
}

const ids: Readonly<Record<Factorizer["id"], string>> = {
  svd: "lowrank/svd",
  tucker2: "lowrank/tucker2",
  spatial: "lowrank/spatial",
  cp: "lowrank/cp",
  separable: "lowrank/depthwise-separable",
};
export const lowRank = (factorizer: Factorizer, paper: string): Method<typeof lowRankOptions> =>
  method({
    id: ids[factorizer.id],
    paper,
    needs: ["calibration", "training"],
    options: lowRankOptions,
    atZero: { target: { macs: 1 }, train: { epochs: 0 } },
    apply: (graph, o, tools) => lowRankStage(graph, o, tools, [factorizer]),
  });
