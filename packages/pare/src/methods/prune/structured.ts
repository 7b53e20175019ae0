/** Removes whole channels: a trained graph enters; the same graph with narrower layers, repaired and fine-tuned, leaves. */
import { z } from "zod";
import type { Channel } from "../../analyze/axes.js";
import { type Branch, branchesOf } from "../../analyze/branches.js";
import { type Coupling, couple } from "../../analyze/couple.js";
import { type Group, survivors } from "../../analyze/groups.js";
import { channelStep } from "../../engine/channel-step.js";
import { LayerTimes } from "../../engine/layer-times.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { channelScores } from "../../importance/channel-scores.js";
import { importance, type MeasureName, measureNames, measures } from "../../importance/importance.js";
import { removeChannels } from "../../passes/remove-channels.js";
import type { EpochMetrics } from "../../train/options.js";
import { type CostKind, costOf, latencyRatio } from "../costs.js";
import { fineTune, trainingOf } from "../fine-tune.js";
import { allBlocked, freeGroups, keptNotes, missedTarget, roundingNote, skippedGroup } from "../free-groups.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
import type { Calibration } from "../moments.js";
import { answersOf, changeOf } from "../output-change.js";
import { reconstruct } from "../reconstruct.js";
import { refreshStatistics } from "../refresh-statistics.js";
import { type Aim, allocateFor, entriesOf, targets } from "../targets.js";
import { type Candidate, removedAt, widthsOf } from "../widths.js";

/** What channels can be ranked by. */
export const rankings: readonly string[] = measureNames.filter((name) => measures[name].needs !== "path");
const usable = measureNames.filter((name) => measures[name].needs !== "path") as [MeasureName, ...MeasureName[]];

const options = z.strictObject({
  target: targets
    .default({ macs: 0.5 })
    .describe(
      "share of the multiply-accumulates, of the bytes, of the time of one run that may be left: one or several",
    ),
  importance: z.enum(usable).default("l2").describe("what channels are ranked by"),
  reduce: z
    .enum(["sum", "mean", "max"])
    .default("mean")
    .describe("a channel's score from those of the weights that go with it"),
  sides: z
    .enum(["outputs", "all"])
    .default("all")
    .describe("outputs: of the weights that make the channel; all: of those that read it too"),
  allocation: z
    .enum(["auto", "uniform", "global", "sensitivity"])
    .default("auto")
    .describe(
      "auto: sensitivity where there is data, else global; uniform: the same share of every group; global: by scores over the group's mean, per cost saved; sensitivity: by the change of the outputs when one group alone is narrowed, measured, per cost saved",
    ),
  roundTo: z
    .union([z.literal("auto"), z.number().int().positive()])
    .default("auto")
    .describe(
      "channel counts are multiples of this; auto: of what makes convolutions faster here, measured: a number for the same result on every machine",
    ),
  exclude: z.array(z.string()).default([]).describe("nodes or weights whose channels stay"),
  samples: z.number().int().positive().default(256).describe("training samples that are measured and repaired on"),
  steps: z.number().int().positive().default(1).describe("so many times: cut, repair, fine-tune"),
  repair: z
    .enum(["reconstruct", "statistics", "none"])
    .default("reconstruct")
    .describe(
      "reconstruct: fit each layer to the dense network's values by least squares; statistics: measure those of BatchNormalization anew",
    ),
  ridge: z
    .number()
    .nonnegative()
    .default(0.1)
    .describe("reconstruct: weight of staying as it is, times the mean power of the layer's inputs"),
  train: fineTune,
});
type Options = z.output<typeof options>;

const calibrationOf = (o: Options, tools: Tools): Calibration | null =>
  tools.data && { data: tools.data, samples: o.samples, engine: tools.engine, signal: tools.signal };

async function candidatesOf(
  coupling: Coupling,
  free: readonly Group[],
  branches: readonly Branch[],
  o: Options,
  tools: Tools,
): Promise<{ candidates: Candidate[]; notes: Note[] }> {
  const { graph } = coupling;
  const scores = await importance(graph, tools.data, o.importance, {
    samples: o.samples,
    seed: tools.seed,
    engine: tools.engine,
    ...(tools.signal ? { signal: tools.signal } : {}),
  });
  const step = o.roundTo === "auto" ? await channelStep(tools.engine) : o.roundTo;
  const notes: Note[] = [roundingNote(step, o.roundTo === "auto" ? "measured on this machine" : "given")];
  const candidates = channelScores(coupling, free, scores, o).flatMap((list, i): Candidate[] => {
    const group = free[i]!;
    if (!list)
      notes.push(skippedGroup(group, unscored(graph, group) ?? `importance ${o.importance} says nothing of them`));
    const branch = branches.find((b) => b.groups[0] === group);
    const widths = [...widthsOf(group, step, 1), ...(branch ? [0] : [])];
    if (list && widths.length < 2) notes.push(skippedGroup(group, `fewer than a multiple of ${step}`));
    return list && widths.length > 1 ? [{ group, scores: list, widths, ...(branch ? { branch } : {}) }] : [];
  });
  return { candidates, notes };
}

const branchesIn = (candidates: readonly Candidate[]): Branch[] => candidates.flatMap((c) => c.branch ?? []);

/** What keeps every importance from a group: weights in other formats. */
function unscored(graph: Graph, group: Group): string | null {
  const types = new Set(group.members.map((m) => graph.initializers.get(m.tensor)?.type ?? "computed"));
  return types.has("float32") ? null : `their weights are ${[...types].join(" and ")}; only float32 weights are pruned`;
}

/** Widths of one group that are measured; those between are interpolated. */
const mostMeasured = 5;

/** Every candidate with the change of the outputs by its width, all other groups being whole. */
async function measured(coupling: Coupling, candidates: readonly Candidate[], calibration: Calibration, tools: Tools) {
  const classes = calibration.data.classes !== undefined;
  const before = await answersOf(coupling.graph, calibration);
  const out: Candidate[] = [];
  for (const c of candidates) {
    tools.signal?.throwIfAborted();
    const last = c.widths.length - 1;
    const count = Math.min(mostMeasured, last);
    const places = [...new Set(Array.from({ length: count + 1 }, (_, k) => Math.round((k * last) / count)))];
    const at = new Map<number, number>([[0, 0]]);
    for (const place of places.slice(1)) {
      const narrow = removeChannels(coupling, branchesIn([c]), removedAt([c], [place]));
      // A narrower group is not better: what says so is noise.
      at.set(place, Math.max(changeOf(before, await answersOf(narrow, calibration), classes), ...at.values()));
    }
    const rises = c.widths.map((_, place) => {
      const right = places.findIndex((p) => p >= place);
      const [a, b] = [places[Math.max(0, right - 1)]!, places[right]!];
      const t = a === b ? 0 : (place - a) / (b - a);
      return (1 - t) * at.get(a)! + t * at.get(b)!;
    });
    out.push({ ...c, rises });
  }
  return out;
}

interface Outcome {
  readonly graph: Graph;
  readonly notes: readonly Note[];
  readonly history: readonly EpochMetrics[];
  /** Of the original's cost, what is left. */
  readonly shares: ReadonlyMap<CostKind, number>;
}

/** Costs of the whole network by kind. */
type Wholes = ReadonlyMap<CostKind, number>;

/** Cuts `graph` down to `limit` of what `original` costs, and repairs what is left. */
async function narrow(
  graph: Graph,
  o: Options,
  tools: Tools,
  at: {
    readonly limit: (share: number) => number;
    readonly original: Graph;
    readonly times: LayerTimes;
    readonly wholes: Wholes;
  },
): Promise<Outcome> {
  const coupling = couple(graph);
  const { free, notes } = freeGroups(coupling, o.exclude, "prune/structured");
  const calibration = calibrationOf(o, tools);
  const allocation = o.allocation === "auto" ? (calibration ? "sensitivity" : "global") : o.allocation;
  if (allocation === "sensitivity" && !calibration)
    throw new PareError(
      "prune/structured: allocation sensitivity is measured on data: give some, or choose another",
      "usage",
    );
  // A branch goes whole only where what that does was measured.
  const branches = allocation === "sensitivity" ? branchesOf(coupling, free, o.exclude) : [];
  const found = await candidatesOf(coupling, free, branches, o, tools);
  notes.push(...found.notes);
  if (found.candidates.length === 0) throw allBlocked(notes);
  const candidates =
    allocation === "sensitivity" ? await measured(coupling, found.candidates, calibration!, tools) : found.candidates;
  const narrowed = (removed: ReadonlySet<Channel>): Graph => removeChannels(coupling, branchesIn(candidates), removed);
  const aims: Aim[] = [];
  for (const [kind, share] of entriesOf(o.target)) {
    const cost = await costOf(kind, coupling, narrowed, at.times);
    aims.push({ kind, limit: at.limit(share), share: async (removed) => (await cost(removed)) / at.wholes.get(kind)! });
  }
  const plan = await allocateFor(aims, candidates, allocation, (removed) =>
    latencyRatio(tools.engine, at.original, narrowed(removed), coupling),
  );
  notes.push(...keptNotes(candidates, plan.widths));
  if (plan.removed.size === 0) return { graph, notes, history: [], shares: plan.shares };
  let narrower = narrowed(plan.removed);
  if (calibration && o.repair === "statistics") narrower = await refreshStatistics(narrower, calibration);
  if (calibration && o.repair === "reconstruct") {
    const { graph: mended, notes: left } = await reconstruct(graph, narrower, {
      ...calibration,
      ridge: o.ridge,
      survivors: (value, axis) => {
        const found = coupling.axes.get(value)?.[axis];
        return found ? survivors(found, plan.removed) : null;
      },
    });
    narrower = mended;
    notes.push(...left);
  }
  return { graph: narrower, notes, history: [], shares: plan.shares };
}

const percent = (r: number): string => `${(100 * r).toFixed(1)} %`;

/**
 * Coupled channels go by the score of their whole group (Fang et al., DepGraph, 2023, eq. 8, for the mean of squares); layers are then fitted to the
 * dense network's values (He, Zhang, Sun: Channel Pruning, 2017, sections 3.2 and 3.3).
 * Differs from the papers: widths are chosen per cost saved and rounded to what the engine runs faster; channels are ranked, not found by LASSO;
 * the ridge draws towards the trained weights and not towards zero.
 */
export const structured = method({
  id: "prune/structured",
  paper:
    "Fang, Ma, Song, Mi, Wang: DepGraph, 2023 (2301.12900); He, Zhang, Sun: Channel Pruning for Accelerating Very Deep Neural Networks, 2017 (1707.06168)",
  needs: ["calibration"],
  options,
  atZero: { target: { macs: 1 }, train: { epochs: 0 } },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    if (entriesOf(o.target).every(([, share]) => share === 1)) return { graph, notes: [] };
    if (!tools.data && o.train.epochs !== "auto" && o.train.epochs > 0)
      throw new PareError("prune/structured: fine-tuning needs data: give some, or 0 epochs", "usage");
    const { masks, codebooks } = tools.constraints;
    if (masks.size > 0 || codebooks.size > 0)
      throw new PareError(
        "prune/structured: remove channels before single weights are pruned or share values",
        "usage",
      );
    const times = new LayerTimes(tools.engine);
    const wholes = new Map<CostKind, number>();
    const coupling = couple(graph);
    for (const [kind] of entriesOf(o.target))
      wholes.set(kind, await (await costOf(kind, coupling, () => graph, times))(new Set()));
    let now: Outcome = { graph, notes: [], history: [], shares: new Map() };
    const history: EpochMetrics[] = [];
    for (let step = 1; step <= o.steps; step++) {
      // The same share of what is left goes each time.
      const limit = (share: number): number => share ** (step / o.steps);
      const { graph: before } = now;
      now = await tools.settled(() => narrow(before, o, tools, { limit, original: graph, times, wholes }));
      const training = tools.data ? trainingOf(o.train, now.graph, tools) : null;
      if (training && training.epochs > 0) {
        const trained = await tools.train(now.graph, training);
        history.push(...trained.history.map((m) => ({ ...m, epoch: history.length + m.epoch })));
        now = { ...now, graph: trained.graph };
      }
      const left = [...now.shares].map(([kind, share]) => `${percent(share)} of the ${kind}`);
      tools.log(`step ${step} of ${o.steps}: ${left.join(", ")} left`);
    }
    const missed = entriesOf(o.target).flatMap(
      ([kind, share]) => missedTarget(kind, share, now.shares.get(kind)!) ?? [],
    );
    for (const { why } of missed) tools.log(why);
    return { graph: now.graph, notes: [...missed, ...now.notes], history };
  },
});
