/** Layers and a goal enter; which factorization and which ranks each layer gets, and why others get none, leave. */
import { inspect } from "../analyze/inspect.js";
import type { Dims } from "../analyze/probe.js";
import type { Engine } from "../engine/engine.js";
import { latency } from "../engine/latency.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { nearestNames } from "../graph/nearest-names.js";
import { quote } from "../graph/quote.js";
import type { Factorizer, Ranks } from "../linear/factorizer.js";
import type { LinearLayer } from "../linear/layers.js";
import type { Problem } from "../linear/problem.js";
import { allocate } from "./allocate-ranks.js";
import { wholeRuns } from "./costs.js";
import { type Note, targetNote } from "./method.js";
import {
  choicesFor,
  evidenceRanks,
  exactRanks,
  type LayerChoices,
  type RankChoice,
  rankGrid,
  type Size,
} from "./rank-choices.js";
import { StageTimes } from "./stage-times.js";

export interface RankTarget {
  readonly kind: "macs" | "bytes" | "latency";
  /** Share of the original's that may be left. */
  readonly share: number;
}
/** What ranks are chosen by: a target; the share of each layer's energy to keep; variational Bayes; or nothing, for layers with `ranks` alone. */
export type RankGoal =
  | RankTarget
  | { readonly kind: "energy"; readonly keep: number }
  | { readonly kind: "vbmf" | "ranks" };

export interface RankPlanOptions {
  readonly factorizers: readonly Factorizer[];
  readonly goal: RankGoal;
  /** By node or weight; these go before the goal. */
  readonly ranks: Readonly<Record<string, Ranks>>;
  readonly measure: boolean;
  readonly engine: Engine;
  readonly signal?: AbortSignal | undefined;
  log(line: string): void;
}
export interface Plan {
  readonly layer: LinearLayer;
  readonly alone: Size;
  readonly choice: RankChoice;
}

/** `seen`: what a layer does in the original graph; asked for one layer at a time. Throws PareError (usage) for ranks that do not fit. */
export async function rankPlan(
  graph: Graph,
  inputs: Dims,
  layers: readonly LinearLayer[],
  seen: (layer: LinearLayer) => Promise<Problem>,
  options: RankPlanOptions,
): Promise<{ readonly plans: readonly Plan[]; readonly refused: readonly Note[] }> {
  const { goal } = options;
  knownNames(layers, Object.keys(options.ranks), "ranks");
  const times = options.measure || goal.kind === "latency" ? new StageTimes(options.engine, options.signal) : null;
  const refused: Note[] = [];
  const refuse = (layer: Pick<LinearLayer, "name">, why: string) =>
    refused.push({ node: layer.name, what: "skipped", why });
  const open: LayerChoices[] = [];
  const plans: Plan[] = [];
  let said = performance.now();
  for (const [i, layer] of layers.entries()) {
    options.signal?.throwIfAborted();
    if (performance.now() - said > 5000) {
      options.log(`looking at ${layer.name}, layer ${i + 1} of ${layers.length}`);
      said = performance.now();
    }
    const asked = askedFor(layer, options.ranks);
    if (!asked && goal.kind === "ranks") {
      refuse(layer, "no ranks are asked for");
      continue;
    }
    const able = options.factorizers.filter((f) => f.refuses(layer) === null);
    const fitting = able.filter((f) => !asked || f.full(layer).length === asked.length);
    const exact = (f: Factorizer, l: LinearLayer) => exactRanks(asked!, f, l);
    const ranksFor = asked ? exact : goal.kind === "vbmf" ? evidenceRanks : rankGrid;
    const about = fitting.length > 0 ? fitting : able;
    const found = await choicesFor(await seen(layer), asked ? null : times, about, ranksFor);
    if (found.why !== null) refuse(layer, found.why);
    else if (asked) plans.push({ layer, alone: found.alone, choice: leastLoss(found.choices) });
    else open.push(found);
  }
  plans.push(...(await chosenBy(goal, graph, inputs, open, plans, options, refuse)));
  const order = new Map(layers.map((l, i) => [l, i]));
  return { plans: plans.sort((a, b) => order.get(a.layer)! - order.get(b.layer)!), refused };
}

const leastLoss = (choices: readonly RankChoice[]): RankChoice =>
  choices.reduce((best, c) => (c.loss < best.loss ? c : best));

/** Throws PareError (usage) for a name that no layer has. */
export function knownNames(
  layers: readonly Pick<LinearLayer, "name" | "tensor">[],
  names: readonly string[],
  option: string,
): void {
  const known = new Set(layers.flatMap((l) => [l.name, l.tensor]));
  const stranger = names.find((n) => !known.has(n));
  if (stranger === undefined) return;
  const near = nearestNames(stranger, known).map(quote).join(", ");
  throw new PareError(
    `${option}: no layer is called ${quote(stranger)}${near ? `; the nearest are ${near}` : ""}`,
    "usage",
  );
}

function askedFor(layer: LinearLayer, table: Readonly<Record<string, Ranks>>): Ranks | null {
  const name = [layer.name, layer.tensor].find((n) => Object.hasOwn(table, n));
  return name === undefined ? null : table[name]!;
}

const costIn = (kind: RankTarget["kind"], s: Size): number =>
  kind === "latency" ? s.ms : kind === "bytes" ? 4 * s.parameters : s.macs;

interface Offer {
  readonly cost: number;
  readonly loss: number;
  readonly plan: Plan | null;
}

async function chosenBy(
  goal: RankGoal,
  graph: Graph,
  inputs: Dims,
  open: readonly LayerChoices[],
  fixed: readonly Plan[],
  { engine, log }: RankPlanOptions,
  refuse: (layer: Pick<LinearLayer, "name">, why: string) => void,
): Promise<Plan[]> {
  if (open.length === 0) return [];
  if (!("share" in goal)) return keepEnough(open, goal.kind === "energy" ? 1 - goal.keep : 1, refuse);
  const { kind, share } = goal;
  const saved = fixed.reduce((sum, p) => sum + costIn(kind, p.alone) - costIn(kind, p.choice), 0);
  const whole = await costOf(graph, inputs, kind, engine);
  const offers = open.map((l): Offer[] => [
    { cost: costIn(kind, l.alone), loss: 0, plan: null },
    ...l.choices.map((choice) => ({
      cost: costIn(kind, choice),
      loss: choice.loss,
      plan: { layer: l.layer, alone: l.alone, choice },
    })),
  ]);
  const sum = (list: readonly Offer[]) => list.reduce((n, o) => n + o.cost, 0);
  const budget = share * whole - (whole - saved - sum(offers.map((list) => list[0]!)));
  const chosen = allocate(offers, budget);
  const over = sum(chosen) - budget;
  if (over > 1e-9 * whole) {
    const why = `the target ${kind}=${share} cannot be met: ${(share + over / whole).toFixed(3)} is the nearest, and is kept`;
    log(why);
    refuse({ name: targetNote }, why);
  }
  chosen.forEach((o, i) => {
    if (!o.plan) refuse(open[i]!.layer, "the target is met with less loss elsewhere");
  });
  return chosen.flatMap((o) => (o.plan ? [o.plan] : []));
}

/** Of each layer's choices that lose at most so much the one with fewest MACs. */
function keepEnough(
  open: readonly LayerChoices[],
  loss: number,
  refuse: (layer: LinearLayer, why: string) => void,
): Plan[] {
  return open.flatMap(({ layer, alone, choices }) => {
    const fine = choices.filter((c) => c.loss <= loss);
    if (fine.length) return [{ layer, alone, choice: fine.reduce((best, c) => (c.macs < best.macs ? c : best)) }];
    refuse(layer, `every choice loses more than ${(100 * loss).toFixed(1)} % of its energy`);
    return [];
  });
}

async function costOf(graph: Graph, inputs: Dims, kind: RankTarget["kind"], engine: Engine): Promise<number> {
  if (kind === "macs") return inspect(graph, { inputs }).macs;
  if (kind === "bytes") return inspect(graph, { inputs }).sizeBytes;
  return (await latency(engine, [graph], { ...wholeRuns, dims: inputs }))[0]!.minMs;
}
