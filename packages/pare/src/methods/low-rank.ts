/** A factorizer enters, the method that a recipe names leaves: options, ranks, factorization, fine-tuning. */
import { z } from "zod";
import type { Graph } from "../graph/graph.js";
import type { Factorizer } from "../linear/factorizer.js";
import { factorize } from "./factorize.js";
import { epochsOf, fineTune, ratio, trainingOf } from "./fine-tune.js";
import { type Method, type MethodResult, method, type Tools } from "./method.js";
import type { RankGoal } from "./rank-plan.js";

const rank = z.number().int().positive();
export const lowRankOptions = z.strictObject({
  macs: ratio
    .optional()
    .describe("share of the multiply-accumulates that may be left; 0.5 where no other target is given"),
  bytes: ratio.optional().describe("share of the weights' bytes that may be left"),
  latency: ratio.optional().describe("share of the latency, measured on this machine, that may be left"),
  energy: ratio
    .optional()
    .describe("instead of a target: the smallest ranks that keep this share of every layer's answers"),
  vbmf: z
    .boolean()
    .default(false)
    .describe("instead of a target: the ranks that variational Bayes takes for more than noise"),
  ranks: z
    .record(z.string(), z.union([rank, z.array(rank).min(1)]))
    .default({})
    .describe("ranks by node or weight; for Tucker-2 two, input then output"),
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
  measure: z.boolean().default(true).describe("refuse what is not faster on this machine"),
  train: fineTune,
});
export type LowRankOptions = z.output<typeof lowRankOptions>;

/** The goal of these options. */
export function goalOf({ macs, bytes, latency, energy, vbmf, ranks }: LowRankOptions): RankGoal {
  if (vbmf) return { kind: "vbmf" };
  if (energy !== undefined) return { kind: "energy", keep: energy };
  if (bytes !== undefined) return { kind: "bytes", share: bytes };
  if (latency !== undefined) return { kind: "latency", share: latency };
  if (macs === undefined && Object.keys(ranks).length > 0) return { kind: "ranks" };
  return { kind: "macs", share: macs ?? 0.5 };
}

/** Factorises and fine-tunes. */
export async function lowRankStage(
  graph: Graph,
  o: LowRankOptions,
  tools: Tools,
  factorizers: readonly Factorizer[],
): Promise<MethodResult> {
  const goal = goalOf(o);
  if ("share" in goal && goal.share === 1 && Object.keys(o.ranks).length === 0) return { graph, notes: [] };
  const { engine, seed, signal } = tools;
  const result = await factorize(graph, {
    factorizers,
    goal,
    ranks: Object.fromEntries(Object.entries(o.ranks).map(([name, r]) => [name, [r].flat()])),
    data: o.dataAware ? tools.data : null,
    samples: o.samples,
    rounds: o.rounds,
    exclude: o.exclude,
    measure: o.measure,
    engine,
    seed,
    signal,
    log: tools.log,
  });
  if (result.layers.length === 0 || epochsOf(o.train, tools.data?.length ?? 0) === 0)
    return { graph: result.graph, notes: result.notes };
  const trained = await tools.train(result.graph, trainingOf(o.train, result.graph, tools));
  return { graph: trained.graph, notes: result.notes, history: trained.history };
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
    atZero: { macs: 1, train: { epochs: 0 } },
    apply: (graph, o, tools) => lowRankStage(graph, o, tools, [factorizer]),
  });
