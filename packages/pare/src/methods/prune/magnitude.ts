/** Removes small weights: a trained graph enters; the graph with zeros, fine-tuned, and the masks that keep them zero leave. */
import { z } from "zod";
import { PareError } from "../../graph/error.js";
import type { Graph } from "../../graph/graph.js";
import { importances } from "../../importance/fisher.js";
import { importance } from "../../importance/importance.js";
import { keepHighest } from "../../importance/keep-highest.js";
import { lampScores, magnitudes, standardDeviation } from "../../importance/magnitude.js";
import { rowRanks } from "../../importance/row-ranks.js";
import type { EpochMetrics } from "../../train/options.js";
import { dropoutOf, epochsOf, fineTune, ratio, trainingOf } from "../fine-tune.js";
import { type MethodResult, method, type Note, type Tools } from "../method.js";
import { countAlive, type Weight, weightsOf, withValues } from "../weights.js";

/** Measures whose scores are comparable across layers (Wanda's by rank), and the control. */
const measured = ["wanda", "fisher-true", "fisher-empirical", "obd", "taylor", "snip", "mas", "random"] as const;
type Measured = (typeof measured)[number];
/** What weights can be ranked by. */
export const criteria = ["layer", "std", "global", "lamp", "fisher", ...measured] as const;

const options = z.strictObject({
  sparsity: ratio.default(0.9).describe("share of the weights to remove; with a limit on the error: the most to try"),
  criterion: z
    .enum(criteria)
    .default("lamp")
    .describe(
      "layer: the same share of every layer by |w|; std: |w| below quality x the layer's standard deviation; global: |w| across layers; lamp: LAMP score across layers; fisher: Fisher information x w^2 across layers, measured before every cut; wanda: |w| x the norm of its inputs, the same share of every row; the others: as importance measures, across layers",
    ),
  layers: z.record(z.string(), ratio).default({}).describe("criterion layer: sparsity by weight or node name"),
  quality: z
    .union([z.number().nonnegative(), z.record(z.string(), z.number().nonnegative())])
    .default(1)
    .describe("criterion std: Han's q, for all layers or by weight or node name"),
  samples: z.number().int().positive().default(1000).describe("criteria that measure: training samples that are read"),
  exclude: z.array(z.string()).default([]).describe("weights or nodes to leave dense"),
  steps: z.number().int().positive().default(1).describe("1: one-shot; more: that many cuts, one per epoch at most"),
  schedule: z
    .enum(["cubic", "linear"])
    .default("cubic")
    .describe("how sparsity rises over the steps; cubic: Zhu & Gupta 2017, eq. 1"),
  shrinkDropout: z.boolean().default(true).describe("dropout ratios times sqrt(kept share of the layer they feed)"),
  train: fineTune,
});
type Options = z.output<typeof options>;

/** Sparsity after step k of n (k = 1..n); starts at `from`. Zhu & Gupta 2017, eq. 1: s = s_f + (s_i - s_f)(1 - k/n)^3. */
export const sparsityAt = (schedule: Options["schedule"], k: number, n: number, to: number, from = 0): number =>
  to + (from - to) * (1 - Math.min(1, k / n)) ** (schedule === "cubic" ? 3 : 1);

const byName = <T>(table: Readonly<Record<string, T>>, w: Pick<Weight, "name" | "node">): T | undefined =>
  Object.hasOwn(table, w.name) ? table[w.name] : Object.hasOwn(table, w.node.name) ? table[w.node.name] : undefined;

/** One mask per weight. `progress` 0..1 scales what is asked for by layer; `importance`: of criteria that measure, by initialiser. */
export function masksFor(
  weights: readonly Pick<Weight, "name" | "node" | "values">[],
  o: Pick<Options, "criterion" | "layers" | "quality">,
  sparsity: number,
  progress = 1,
  importance?: Values,
): Uint8Array[] {
  const keepOf = (n: number, s: number): number => n - Math.round(n * s);
  if (o.criterion === "layer")
    return weights.map((w) => {
      const own = byName(o.layers, w);
      const target = own === undefined ? sparsity : own * progress;
      return keepHighest([magnitudes(w.values)], keepOf(w.values.length, target))[0]!;
    });
  if (o.criterion === "std")
    return weights.map((w) => {
      const q = typeof o.quality === "number" ? o.quality : (byName(o.quality, w) ?? 0);
      const threshold = q * progress * standardDeviation(w.values);
      return Uint8Array.from(w.values, (v) => (Math.abs(v) >= threshold && v !== 0 ? 1 : 0));
    });
  const scoresOf = {
    global: (w: Pick<Weight, "values">) => magnitudes(w.values),
    lamp: (w: Pick<Weight, "values">) => lampScores(w.values),
    fisher: (w: Pick<Weight, "name" | "values">) => {
      const f = importance!.get(w.name)!;
      return w.values.map((v, i) => f[i]! * v * v);
    },
  };
  const { criterion } = o;
  const scores = weights.map((w) =>
    isMeasured(criterion)
      ? importance!.get(w.name)!.map((v, i) => (w.values[i] === 0 ? 0 : v))
      : scoresOf[criterion](w),
  );
  const total = scores.reduce((n, s) => n + s.length, 0);
  return keepHighest(scores, keepOf(total, sparsity));
}

const isMeasured = (criterion: Options["criterion"]): criterion is Measured =>
  (measured as readonly string[]).includes(criterion);

type Masks = ReadonlyMap<string, Uint8Array>;
type Values = ReadonlyMap<string, Float32Array>;

/** Masks by name for these weights as they are now, with what earlier stages removed still removed. */
async function cut(
  graph: Graph,
  weights: readonly Weight[],
  o: Options,
  tools: Tools,
  at: { readonly values: Values; readonly before: Masks; readonly sparsity: number; readonly progress: number },
): Promise<Map<string, Uint8Array>> {
  const now = weights.map((w) => ({ ...w, values: at.values.get(w.name) ?? w.values }));
  const names = weights.map((w) => w.name);
  const scores =
    at.sparsity > 0 ? await measuredOn(withValues(graph, at.values), names, o, tools) : new Map<string, Float32Array>();
  for (const w of now) if (!scores.has(w.name)) scores.set(w.name, new Float32Array(w.values.length).fill(1));
  const masks = masksFor(now, o, at.sparsity, at.progress, scores);
  return new Map(
    now.map((w, k) => [w.name, masks[k]!.map((m, i) => m & ((at.before.get(w.name)?.[i] ?? 1) ? 1 : 0))] as const),
  );
}
/** Scores by initialiser of the criteria that measure; empty for the others. */
async function measuredOn(
  graph: Graph,
  names: readonly string[],
  { criterion, samples }: Options,
  tools: Tools,
): Promise<Map<string, Float32Array>> {
  if (criterion === "fisher") {
    if (!tools.data)
      throw new PareError(
        "prune/magnitude: criterion fisher is measured on data: give some, or choose another",
        "usage",
      );
    return importances(graph, names, tools.data, samples, tools);
  }
  if (!isMeasured(criterion)) return new Map();
  const { engine, seed, signal } = tools;
  const scores = await importance(graph, tools.data, criterion, {
    names,
    samples,
    engine,
    seed,
    ...(signal ? { signal } : {}),
  });
  return new Map(criterion === "wanda" ? rowRanks(graph, scores) : scores);
}
const applied = (weights: readonly Weight[], masks: Masks): Map<string, Float32Array> =>
  new Map(weights.map((w) => [w.name, w.values.map((v, i) => (masks.get(w.name)![i] ? v : 0))]));

/** Han 2015: D_r = D_o sqrt(C_ir / C_io), C the connections of the layer that the Dropout node feeds. */
function shrunkDropout(
  graph: Graph,
  ratios: Readonly<Record<string, number>>,
  weights: readonly Weight[],
  masks: Masks,
) {
  const kept = new Map(weights.map((w) => [w.node, countAlive(masks.get(w.name)!) / w.values.length]));
  const readers = new Map<string, (typeof graph.nodes)[number][]>();
  for (const n of graph.nodes) for (const i of n.inputs) readers.set(i, [...(readers.get(i) ?? []), n]);
  const next = (name: string): number | null => {
    for (const n of readers.get(name) ?? []) {
      const found = kept.get(n) ?? n.outputs.map(next).find((k) => k !== null);
      if (found !== undefined) return found;
    }
    return null;
  };
  return Object.fromEntries(
    Object.entries(ratios).map(([name, r]) => {
      const node = graph.nodes.find((n) => n.name === name);
      return [name, r * Math.sqrt((node && next(node.outputs[0]!)) ?? 1)];
    }),
  );
}

/** Cuts and fine-tunes in one training run: cut k of `steps` before epoch k - 1. */
async function gradual(graph: Graph, weights: readonly Weight[], o: Options, tools: Tools): Promise<Outcome> {
  const total = weights.reduce((n, w) => n + w.values.length, 0);
  const start = 1 - weights.reduce((n, w) => n + countNonzero(w.values), 0) / total;
  const before = tools.constraints.masks;
  const epochs = epochsOf(o.train, tools.data?.length ?? 0);
  const steps = Math.max(1, Math.min(o.steps, epochs));
  const cutAt = (k: number, values: Values, old: Masks): Promise<Map<string, Uint8Array>> =>
    cut(graph, weights, o, tools, {
      values,
      before: old,
      sparsity: sparsityAt(o.schedule, k, steps, o.sparsity, start),
      progress: k / steps,
    });
  const first = await cutAt(1, new Map(), before);
  if (epochs === 0) return { graph: withValues(graph, applied(weights, first)), masks: first, history: [] };
  const final = steps === 1 ? first : await cutAt(steps, new Map(), before);
  const training = trainingOf(o.train, graph, tools);
  const dropout = dropoutOf(o.train, graph);
  const result = await tools.train(withValues(graph, applied(weights, first)), {
    ...training,
    masks: first,
    dropout: o.shrinkDropout ? shrunkDropout(graph, dropout, weights, final) : dropout,
    ...(steps > 1
      ? { remask: (epoch, values, masks) => (epoch > 0 && epoch < steps ? cutAt(epoch + 1, values, masks) : null) }
      : {}),
  });
  const masks =
    steps === 1
      ? first
      : new Map(weightsOf(result.graph, o.exclude).weights.map((w) => [w.name, nonzeroMask(w.values)]));
  return { graph: result.graph, masks: result.masks ?? masks, history: result.history };
}
interface Outcome {
  readonly graph: Graph;
  readonly masks: Masks;
  readonly history: readonly EpochMetrics[];
}

/** Han's iteration under a limit: cut, fine-tune, measure; the sparsest network within the limit is the result. */
async function withinLimit(graph: Graph, o: Options, tools: Tools, limit: number): Promise<Outcome> {
  const rungs = Math.max(6, o.steps);
  const epochs = Math.max(1, Math.ceil(epochsOf(o.train, tools.data?.length ?? 0) / 3));
  let best: Outcome = { graph, masks: tools.constraints.masks, history: [] };
  const history: EpochMetrics[] = [];
  for (let rung = 1; rung <= rungs; rung++) {
    const sparsity = 1 - (1 - o.sparsity) ** (rung / rungs);
    const now = weightsOf(best.graph, o.exclude).weights;
    const step = { ...o, sparsity, steps: 1, train: { ...o.train, epochs } };
    const next = await gradual(best.graph, now, step, tools);
    history.push(...next.history.map((m) => ({ ...m, epoch: history.length + m.epoch })));
    const { error } = await tools.evaluate(next.graph);
    tools.log(
      `sparsity ${(100 * sparsity).toFixed(1)} %: validation error ${(100 * error).toFixed(2)} %, allowed ${(100 * limit).toFixed(2)} %`,
    );
    if (error > limit) break;
    best = next;
  }
  return { ...best, history };
}

const nonzeroMask = (values: Float32Array): Uint8Array => Uint8Array.from(values, (v) => (v === 0 ? 0 : 1));
const countNonzero = (values: Float32Array): number => values.reduce((n, v) => n + (v === 0 ? 0 : 1), 0);

/**
 * Han, Pool, Tran, Dally 2015 (sections 3, 3.2, 3.4); schedule: Zhu & Gupta 2017, eq. 1; LAMP: Lee et al. 2021, eq. 4.
 * Differs from the paper: one run prunes convolutions and dense layers together instead of alternating; ranking across layers by LAMP is the
 * default; between cuts the optimizer keeps its state; neurons without inputs keep their bias.
 */
export const magnitude = method({
  id: "prune/magnitude",
  paper:
    "Han, Pool, Tran, Dally: Learning both Weights and Connections for Efficient Neural Networks, 2015 (1506.02626)",
  needs: ["training"],
  options,
  atZero: { sparsity: 0, train: { epochs: 0 } },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    const { weights, skipped } = weightsOf(graph, o.exclude);
    if (weights.length === 0) return { graph, notes: skipped };
    const shared = weights.find((w) => tools.constraints.codebooks.has(w.name));
    if (shared)
      throw new PareError(
        `prune/magnitude: "${shared.name}" already shares its values: prune before quantizing`,
        "usage",
      );
    const outcome =
      tools.limit === undefined || o.sparsity === 0
        ? await gradual(graph, weights, o, tools)
        : await withinLimit(graph, o, tools, tools.limit);
    const notes: Note[] = weights.map((w) => {
      const kept = countAlive(outcome.masks.get(w.name) ?? nonzeroMask(w.values));
      return {
        node: w.node.name,
        what: "done",
        why: `${w.name}: ${kept} of ${w.values.length} weights kept (${((100 * kept) / w.values.length).toFixed(1)} %)`,
      };
    });
    return {
      graph: outcome.graph,
      notes: [...notes, ...skipped],
      constraints: { masks: new Map([...tools.constraints.masks, ...outcome.masks]) },
      history: outcome.history,
    };
  },
});
