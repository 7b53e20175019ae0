/** A layer and what it sees enter; every factorization that is smaller and faster leaves, with its cost and loss, or the reason why there is none. */
import { PareError } from "../graph/error.js";
import { evidenceRank } from "../linear/evidence-rank.js";
import type { Factorizer, Ranks } from "../linear/factorizer.js";
import { type LinearLayer, layerMacs } from "../linear/layers.js";
import type { Problem } from "../linear/problem.js";
import { stageSize, stagesMacs } from "../linear/replace.js";
import type { StageTimes } from "./stage-times.js";

export interface Size {
  readonly macs: number;
  readonly parameters: number;
  /** NaN: not measured. */
  readonly ms: number;
}
export interface RankChoice extends Size {
  readonly factorizer: Factorizer;
  readonly ranks: Ranks;
  /** Foreseen mean squared error of the layer's answers, as a share of their mean square. */
  readonly loss: number;
}
export interface LayerChoices {
  readonly layer: LinearLayer;
  readonly alone: Size;
  readonly choices: readonly RankChoice[];
  /** Why there are no choices. */
  readonly why: string | null;
}

/** `factorizers`: those that do not refuse the layer. `times` null: time does not count. `ranksFor`: the ranks to consider. */
export async function choicesFor(
  problem: Problem,
  times: StageTimes | null,
  factorizers: readonly Factorizer[],
  ranksFor: (factorizer: Factorizer, layer: LinearLayer) => readonly Ranks[],
): Promise<LayerChoices> {
  const { layer } = problem;
  const alone = {
    macs: layerMacs(layer),
    parameters: layer.weight.data.length,
    ms: times ? await times.of(layer, null) : Number.NaN,
  };
  const smaller = factorizers.flatMap((factorizer): RankChoice[] => {
    const foresee = foreseer(factorizer, problem);
    return ranksFor(factorizer, layer).flatMap((ranks) => {
      const stages = factorizer.stages(layer, ranks);
      const macs = stagesMacs(layer, stages);
      const parameters = stages.reduce((sum, s) => sum + stageSize(layer, s), 0);
      if (macs >= alone.macs || parameters >= alone.parameters) return [];
      return [{ factorizer, ranks, macs, parameters, ms: Number.NaN, loss: foresee(ranks) }];
    });
  });
  const choices: RankChoice[] = times ? [] : smaller;
  const slower: string[] = [];
  for (const c of times ? affordable(smaller, alone.ms) : []) {
    const ms = await times!.of(layer, c.factorizer.stages(layer, c.ranks));
    if (ms < alone.ms) choices.push({ ...c, ms });
    else slower.push(`${c.factorizer.id} ${c.ranks.join("/")}: ${ms.toFixed(3)} ms`);
  }
  const nothing =
    smaller.length === 0
      ? "no rank has fewer multiply-accumulates and fewer weights"
      : `no rank is faster here than the layer's own ${alone.ms.toFixed(3)} ms (${slower.slice(0, 3).join(", ")})`;
  return { layer, alone, choices, why: choices.length ? null : nothing };
}

/** Milliseconds of runs, all choices of a layer once, beyond which fewer are timed; and of those no fewer than these. */
const patienceMs = 3000;
const fewest = 8;

/** All of the choices, but of a slow layer those alone that no other beats in both MACs and loss, and of these evenly spaced ones. */
function affordable(choices: readonly RankChoice[], ms: number): readonly RankChoice[] {
  if (choices.length * ms <= patienceMs) return choices;
  const rising = [...choices].sort((a, b) => a.macs - b.macs || a.loss - b.loss);
  const front: RankChoice[] = [];
  for (const c of rising) if (c.loss < (front.at(-1)?.loss ?? Number.POSITIVE_INFINITY)) front.push(c);
  const count = Math.min(front.length, Math.max(fewest, Math.floor(patienceMs / ms)));
  return Array.from({ length: count }, (_, i) => front[Math.round((i * (front.length - 1)) / Math.max(1, count - 1))]!);
}

/** The factorizer's foresight, made when it is first asked. */
function foreseer(factorizer: Factorizer, problem: Problem): (ranks: Ranks) => number {
  let known: ((ranks: Ranks) => number) | undefined;
  return (ranks) => (known ??= factorizer.foresee(problem))(ranks);
}

/** Ranks that engines like: multiples of 8, wider apart where there are many; few channels one by one. */
export function rankGrid(factorizer: Factorizer, layer: LinearLayer): Ranks[] {
  const grid = (full: number): number[] => {
    if (full <= 12) return Array.from({ length: full }, (_, i) => i + 1);
    const step = 8 * Math.ceil(full / 8 / 32);
    const list = [4];
    for (let r = step; r < full; r += step) list.push(r);
    return [...list, full];
  };
  return factorizer
    .full(layer)
    .map(grid)
    .reduce<Ranks[]>((all, list) => all.flatMap((r) => list.map((n) => [...r, n])), [[]]);
}

/** The ranks that are asked for. Throws PareError (usage) where the factorizer has no such ranks. */
export function exactRanks(asked: Ranks, factorizer: Factorizer, layer: LinearLayer): Ranks[] {
  const full = factorizer.full(layer);
  if (asked.length === full.length && asked.every((r, i) => r >= 1 && r <= full[i]!)) return [asked];
  throw new PareError(
    `rank ${asked.join(",")} of "${layer.name}": ${factorizer.id} takes ${full.map((f) => `1 to ${f}`).join(", and ")}`,
    "usage",
  );
}

/** Ranks by variational Bayes, up to the next multiple of 8 where that is not all; none where ranks are no ranks of matrices. */
export function evidenceRanks(factorizer: Factorizer, layer: LinearLayer): Ranks[] {
  const full = factorizer.full(layer);
  const found = factorizer.unfoldings(layer)?.map((m, i) => {
    const rank = Math.max(1, evidenceRank(m));
    return Math.min(full[i]!, rank > 8 ? 8 * Math.ceil(rank / 8) : rank);
  });
  return found ? [found] : [];
}
