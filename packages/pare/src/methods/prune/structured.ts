/** Removes whole channels: a trained graph enters; the same graph with narrower layers, repaired and fine-tuned, leaves. */
import { z } from "zod";
import { type Coupling, couple } from "../../analyze/couple.js";
import { cut } from "../../analyze/cut.js";
import { type Group, survivors } from "../../analyze/groups.js";
import { channelStep } from "../../engine/channel-step.js";
import { LayerTimes } from "../../engine/layer-times.js";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { channelScores } from "../../importance/channel-scores.js";
import { importance, type MeasureName, measureNames, measures } from "../../importance/importance.js";
import type { EpochMetrics } from "../../train/options.js";
import { type CostKind, costOf, latencyRatio } from "../costs.js";
import { ratio, steadyFineTune, trainingOf } from "../fine-tune.js";
import { allBlocked, freeGroups, keptNotes, missedTarget, skippedGroup } from "../free-groups.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
import type { Calibration } from "../moments.js";
import { answersOf, changeOf } from "../output-change.js";
import { reconstruct } from "../reconstruct.js";
import { refreshStatistics } from "../refresh-statistics.js";
import { type Allocation, allocate, type Candidate, type Cost, type Plan, removedAt, widthsOf } from "../widths.js";

/** What channels can be ranked by. */
export const rankings: readonly string[] = measureNames.filter((name) => measures[name].needs !== "path");
const usable = measureNames.filter((name) => measures[name].needs !== "path") as [MeasureName, ...MeasureName[]];

const options = z.strictObject({
  target: z
    .union([
      z.strictObject({ macs: ratio }),
      z.strictObject({ bytes: ratio }),
      z.strictObject({ latency: ratio.describe("measured on this machine: results differ from machine to machine") }),
    ])
    .default({ macs: 0.5 })
    .describe("share of the multiply-accumulates, of the bytes or of the time of one run that may be left"),
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
    .describe("channel counts are multiples of this; auto: of what makes convolutions faster here, measured"),
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
  train: steadyFineTune,
});
type Options = z.output<typeof options>;

function targetOf(o: Options): { kind: CostKind; share: number } {
  const [[kind, share]] = Object.entries(o.target) as [[CostKind, number]];
  return { kind, share };
}

const calibrationOf = (o: Options, tools: Tools): Calibration | null =>
  tools.data && { data: tools.data, samples: o.samples, engine: tools.engine, signal: tools.signal };

async function candidatesOf(
  coupling: Coupling,
  free: readonly Group[],
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
  const notes: Note[] = [];
  const candidates = channelScores(coupling, free, scores, o).flatMap((list, i): Candidate[] => {
    const group = free[i]!;
    if (!list) notes.push(skippedGroup(group, `importance ${o.importance} says nothing of them`));
    const widths = widthsOf(group, step, 1);
    if (list && widths.length < 2) notes.push(skippedGroup(group, `fewer than a multiple of ${step}`));
    return list && widths.length > 1 ? [{ group, scores: list, widths }] : [];
  });
  return { candidates, notes };
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
      const narrow = cut(coupling, removedAt([c], [place]));
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

/** Plans that are timed whole. */
const mostTimed = 5;
/** What is aimed at lies this share below the target, so that noise does not put it above. */
const margin = 0.04;

/**
 * As `allocate`, but the whole network has the last word: the table is a sum of layers timed alone, so its limit is moved until the measured cost
 * (in the same unit) is just below `limit`. The dearest plan that holds, else the cheapest that was found; its cost is the measured one.
 */
async function timed(
  candidates: readonly Candidate[],
  allocation: Allocation,
  cost: Cost,
  limit: number,
  measure: (removed: Plan["removed"]) => Promise<number>,
): Promise<Plan> {
  const found: Plan[] = [];
  for (let tabled = limit; found.length < mostTimed; ) {
    const plan = await allocate(candidates, allocation, cost, tabled);
    if (found.some((f) => f.widths.join() === plan.widths.join())) break;
    const measured = await measure(plan.removed);
    found.push({ ...plan, cost: measured });
    if (measured <= limit && measured >= limit * (1 - 2 * margin)) break;
    tabled *= (limit * (1 - margin)) / measured;
  }
  const rising = found.sort((a, b) => a.cost - b.cost);
  return rising.findLast((p) => p.cost <= limit) ?? rising[0]!;
}

interface Outcome {
  readonly graph: Graph;
  readonly notes: readonly Note[];
  readonly history: readonly EpochMetrics[];
}

/** Cuts `graph` down to `share` of what `original` costs, and repairs what is left. */
async function narrow(
  graph: Graph,
  o: Options,
  tools: Tools,
  at: { readonly limit: number; readonly original: Graph; readonly times: LayerTimes; readonly share: number },
): Promise<Outcome & { readonly cost: number }> {
  const { kind } = targetOf(o);
  const coupling = couple(graph);
  const { free, notes } = freeGroups(coupling, o.exclude, "prune/structured");
  const found = await candidatesOf(coupling, free, o, tools);
  notes.push(...found.notes);
  if (found.candidates.length === 0) throw allBlocked(notes);
  const calibration = calibrationOf(o, tools);
  const allocation = o.allocation === "auto" ? (calibration ? "sensitivity" : "global") : o.allocation;
  if (allocation === "sensitivity" && !calibration)
    throw new PareError(
      "prune/structured: allocation sensitivity is measured on data: give some, or choose another",
      "usage",
    );
  const candidates =
    allocation === "sensitivity" ? await measured(coupling, found.candidates, calibration!, tools) : found.candidates;
  const cost: Cost = await costOf(kind, coupling, tools.engine, at.times);
  const plan = await (kind === "latency" ? timed : allocate)(
    candidates,
    allocation,
    cost,
    at.limit,
    async (removed) => {
      const ratio = await latencyRatio(tools.engine, at.original, cut(coupling, removed), coupling);
      return (at.limit * ratio) / at.share;
    },
  );
  notes.push(...keptNotes(candidates, plan.widths));
  let narrower = plan.removed.size ? cut(coupling, plan.removed) : graph;
  if (plan.removed.size === 0) return { graph, notes, history: [], cost: plan.cost };
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
  return { graph: narrower, notes, history: [], cost: plan.cost };
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
    const { kind, share } = targetOf(o);
    if (share === 1) return { graph, notes: [] };
    const { masks, codebooks } = tools.constraints;
    if (masks.size > 0 || codebooks.size > 0)
      throw new PareError(
        "prune/structured: remove channels before single weights are pruned or share values",
        "usage",
      );
    const times = new LayerTimes(tools.engine);
    const whole = await (await costOf(kind, couple(graph), tools.engine, times))(new Set());
    let now: Outcome & { cost: number } = { graph, notes: [], history: [], cost: whole };
    const history: EpochMetrics[] = [];
    for (let step = 1; step <= o.steps; step++) {
      // The same share of what is left goes each time.
      const part = share ** (step / o.steps);
      now = await narrow(now.graph, o, tools, { limit: part * whole, original: graph, times, share: part });
      const training = tools.data ? trainingOf(o.train, now.graph, tools) : null;
      if (training && training.epochs > 0) {
        const trained = await tools.train(now.graph, training);
        history.push(...trained.history.map((m) => ({ ...m, epoch: history.length + m.epoch })));
        now = { ...now, graph: trained.graph };
      }
      tools.log(`step ${step} of ${o.steps}: ${percent(now.cost / whole)} of the ${kind} left`);
    }
    const missed = missedTarget(kind, share, now.cost / whole);
    if (missed) tools.log(missed.why);
    return { graph: now.graph, notes: [...(missed ? [missed] : []), ...now.notes], history };
  },
});
