/** Channels are chosen, pressed to zero by a penalty that grows, and removed: a graph and data enter; the narrower graph, fine-tuned, leaves. */
import { z } from "zod";
import type { Channel } from "../../analyze/axes.js";
import { type Coupling, couple } from "../../analyze/couple.js";
import { cut } from "../../analyze/cut.js";
import { groupsOf } from "../../analyze/groups.js";
import { macsTally } from "../../analyze/tally.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { channelScores } from "../../importance/channel-scores.js";
import { importance } from "../../importance/importance.js";
import type { Proximal } from "../../train/options.js";
import { allOf, channelWeights, type Places, scale } from "../channel-weights.js";
import { fineTune, ratio, type Training, trainingOf } from "../fine-tune.js";
import { allBlocked, freeGroups, keptNotes, missedTarget, roundingNote } from "../free-groups.js";
import { type MethodResult, method, type Tools } from "../method.js";
import { allocate, type Candidate, widthsOf } from "../widths.js";

const options = z.strictObject({
  target: z.strictObject({ macs: ratio }).default({ macs: 0.5 }).describe("share of the MACs that may be left"),
  choose: z
    .enum(["first", "last"])
    .default("first")
    .describe("first: channels are chosen before the penalty grows (GReg-1); last: after it has grown on all (GReg-2)"),
  allocation: z.enum(["uniform", "global"]).default("global").describe("as in prune/structured"),
  roundTo: z.number().int().positive().default(8).describe("channel counts are multiples of this"),
  exclude: z.array(z.string()).default([]).describe("nodes or weights whose channels stay"),
  ceiling: z.number().positive().default(1).describe("the penalty factor at the end of the training that presses"),
  pick: z.number().positive().default(0.01).describe("choose last: the factor up to which all channels are pressed"),
  hold: ratio.default(0.25).describe("share of the training at its end over which the factor no longer grows"),
  train: fineTune.describe("the training under the penalty"),
  finetune: fineTune.describe("the training after the cut"),
});
type Options = z.output<typeof options>;

/** w <- w / (1 + rate factor): the proximal step of factor / 2 |w|^2, with the factor rising linearly to `ceiling`, then held. */
export function growing(groups: readonly Places[], o: { ceiling: number; hold: number }): Proximal["apply"] {
  return (weights, { rate, step, steps }) => {
    const rising = Math.max(1, Math.round((1 - o.hold) * steps));
    const factor = o.ceiling * Math.min(1, (step + 1) / rising);
    for (const places of groups) scale(weights, places, 1 / (1 + rate * factor));
  };
}

async function plan(graph: Graph, o: Options, tools: Tools) {
  const coupling = couple(graph);
  const { free, notes } = freeGroups(coupling, o.exclude, "prune/growing");
  const { engine, seed } = tools;
  const scores = await importance(graph, null, "l1", { engine, seed });
  const lists = channelScores(coupling, free, scores, { reduce: "mean", sides: "all" });
  const candidates = free.flatMap((group, i): Candidate[] => {
    const widths = widthsOf(group, o.roundTo, 1);
    return lists[i] && widths.length > 1 ? [{ group, scores: lists[i], widths }] : [];
  });
  if (candidates.length === 0) throw allBlocked(notes);
  const cost = macsTally(coupling);
  const whole = cost(new Set());
  const { removed, widths, cost: left } = await allocate(candidates, o.allocation, cost, o.target.macs * whole);
  const missed = missedTarget("macs", o.target.macs, left / whole);
  if (missed) tools.log(missed.why);
  const said = [
    ...(missed ? [missed] : []),
    roundingNote(o.roundTo, "given"),
    ...notes,
    ...keptNotes(candidates, widths),
  ];
  const weights = channelWeights(
    coupling,
    candidates.map((c) => c.group),
  );
  const placesOf = (channels: Iterable<Parameters<typeof weights.get>[0]>): Places[] =>
    [...channels].map((c) => allOf(weights.get(c)!));
  return { coupling, removed, notes: said, chosen: placesOf(removed), all: placesOf(weights.keys()) };
}

/** The same channels of the trained graph: its groups are those of before, in their order. */
function again(before: Coupling, removed: ReadonlySet<Channel>, graph: Graph): [Coupling, Set<Channel>] {
  const coupling = couple(graph);
  const now = groupsOf(coupling);
  const gone = groupsOf(before).flatMap((g, i) =>
    g.channels.flatMap((c, k) => (removed.has(c) ? [now[i]!.channels[k]!] : [])),
  );
  return [coupling, new Set(gone)];
}

/**
 * Wang, Qin, Zhang, Fu 2021: GReg-1 (algorithm 1) and, with choose "last", GReg-2 (section 3.3).
 * Differs from the paper: the factor rises with every step instead of every few; the decay is a proximal step, which cannot overshoot; the unit is
 * the whole coupled channel, its biases, scales and readers too; the share of each layer is that of an allocation.
 */
export const growingMethod = method({
  id: "prune/growing",
  paper: "Wang, Qin, Zhang, Fu: Neural Pruning via Growing Regularization, 2021 (2012.09243)",
  needs: ["training"],
  options,
  atZero: { target: { macs: 1 } },
  apply: async (graph, o: Options, tools): Promise<MethodResult> => {
    if (o.target.macs === 1) return { graph, notes: [] };
    const { masks, codebooks } = tools.constraints;
    if (masks.size > 0 || codebooks.size > 0)
      throw new PareError("prune/growing: remove channels before single weights are pruned or share values", "usage");
    let now = graph;
    let planned = await plan(now, o, tools);
    const history: NonNullable<MethodResult["history"]>[number][] = [];
    const trainOn = async (training: Training, proximal?: Proximal) => {
      if (training.epochs === 0) return;
      const result = await tools.train(now, { ...training, ...(proximal ? { proximal } : {}) });
      history.push(...result.history.map((m) => ({ ...m, epoch: history.length + m.epoch })));
      now = result.graph;
    };
    const pressing = trainingOf(o.train, graph, tools);
    const { train: _, finetune: __, ...settings } = o;
    const press = (groups: readonly Places[], ceiling: number): Proximal => ({
      settings: { ...settings, ceiling },
      apply: growing(groups, { ceiling, hold: o.hold }),
    });
    if (o.choose === "last") {
      await trainOn(pressing, press(planned.all, o.pick));
      planned = await plan(now, o, tools);
    }
    await trainOn(pressing, press(planned.chosen, o.ceiling));
    if (planned.removed.size > 0) now = cut(...again(planned.coupling, planned.removed, now));
    await trainOn(trainingOf(o.finetune, now, tools));
    return { graph: now, notes: planned.notes, history };
  },
});
