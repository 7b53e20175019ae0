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
  const choices: RankChoice[] = [];
  const slower: string[] = [];
  let smaller = 0;
  for (const factorizer of factorizers) {
    const foresee = foreseer(factorizer, problem);
    for (const ranks of ranksFor(factorizer, layer)) {
      const stages = factorizer.stages(layer, ranks);
      const macs = stagesMacs(layer, stages);
      const parameters = stages.reduce((sum, s) => sum + stageSize(layer, s), 0);
      if (macs >= alone.macs || parameters >= alone.parameters) continue;
      smaller++;
      const ms = times ? await times.of(layer, stages) : Number.NaN;
      if (ms >= alone.ms) slower.push(`${factorizer.id} ${ranks.join("/")}: ${ms.toFixed(3)} ms`);
      else choices.push({ factorizer, ranks, macs, parameters, ms, loss: foresee(ranks) });
    }
  }
  const nothing =
    smaller === 0
      ? "no rank has fewer multiply-accumulates and fewer weights"
      : `no rank is faster here than the layer's own ${alone.ms.toFixed(3)} ms (${slower.slice(0, 3).join(", ")})`;
  return { layer, alone, choices, why: choices.length ? null : nothing };
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
