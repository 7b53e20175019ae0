/** A graph, factorizers and a goal enter; the graph whose layers are products of smaller ones, and what was done to each layer and why, leave. */
import { couple } from "../analyze/couple.js";
import { infer } from "../analyze/infer.js";
import type { Dataset } from "../data/dataset.js";
import { fit } from "../data/fit.js";
import { limited } from "../data/views.js";
import { feeds, type Graph } from "../graph/graph.js";
import type { Factorizer, Ranks } from "../linear/factorizer.js";
import { type LinearLayer, linearLayers } from "../linear/layers.js";
import { momentsOf, targetOf } from "../linear/moments.js";
import { biasFor, distance, energyOf, type Problem, problemOf } from "../linear/problem.js";
import { replaceLayer } from "../linear/replace.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "../passes/drop-initializer-inputs.js";
import { foldScales } from "../passes/fold-scales.js";
import { liftConstants } from "../passes/lift-constants.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { openBatch } from "../passes/rebatch.js";
import type { Note } from "./method.js";
import { knownNames, type RankPlanOptions, rankPlan } from "./rank-plan.js";

export interface FactorizeOptions extends RankPlanOptions {
  /** Inputs that the answers should be right on; null: every input counts the same. */
  readonly data: Dataset | null;
  readonly samples: number;
  /** How often factors without a closed form are gone through. */
  readonly rounds: number;
  /** Share of the inputs' mean power by which weights are drawn to what they were. */
  readonly ridge: number;
  /** Names of nodes or weights to leave as they are. */
  readonly exclude: readonly string[];
  /** Weights whose zeros an earlier stage holds: factors would have none. */
  readonly pruned: ReadonlySet<string>;
  readonly seed: number;
}
export interface FactorizedLayer {
  readonly node: string;
  readonly method: Factorizer["id"];
  readonly ranks: Ranks;
  readonly macs: readonly [before: number, after: number];
  readonly parameters: readonly [before: number, after: number];
  /** Mean squared error of the layer's answers as a share of their variance; without data, of the weight's square. */
  readonly error: number;
}
export interface Factorized {
  readonly graph: Graph;
  readonly layers: readonly FactorizedLayer[];
  readonly notes: readonly Note[];
}

/** Inputs c k... of a layer up to which their second moments are used: they and their triangle take 16 n^2 bytes and n^3 / 3 operations. */
const mostColumns = 4608;

/** Never changes `graph`. Without a layer that pays the graph itself comes back, with the reasons. Throws PareError for what cannot be read or run. */
export async function factorizeLayers(graph: Graph, options: FactorizeOptions): Promise<Factorized> {
  const net = dropDeadNodes(foldScales(liftConstants(dropInitializerInputs(graph))));
  const runs = options.data ? openBatch(raiseOpset(net)) : net;
  const data = options.data && fit(limited(options.data, options.samples), feeds(runs));
  const inputs = data
    ? Object.fromEntries(feeds(net).map((v, k) => [v.name, [1, ...data.fields[k]!.dims]]))
    : couple(net).inputs;
  const inferred = infer(net, { inputs });
  const shapeOf = (name: string): string | null => inferred.types.get(name)?.shape?.join() ?? null;
  const { layers, left } = linearLayers(net, inferred);
  knownNames([...layers, ...left.map((l) => ({ name: l.node, tensor: l.node }))], options.exclude, "exclude");
  const notes: Note[] = left.map(({ node, why }) => ({ node, what: "skipped", why }));
  const open = layers.filter((l) => {
    const why = excluded(l, options) ?? everyRefusal(l, options.factorizers);
    if (why) notes.push({ node: l.name, what: "skipped", why });
    return !why;
  });
  const about = { engine: options.engine, seed: options.seed, signal: options.signal };
  const dataFor = (l: LinearLayer): Dataset | null => (l.weight.cols <= mostColumns ? data : null);
  const seen = async (l: LinearLayer): Promise<Problem> => {
    const own = dataFor(l);
    return problemOf(l, own && (await momentsOf(runs, l, own, about)), options.ridge);
  };
  const { plans, refused } = await rankPlan(net, inputs, open, seen, options);
  notes.push(...refused);

  let [now, running] = [net, runs];
  const done: FactorizedLayer[] = [];
  for (const { layer, alone, choice } of plans) {
    const { factorizer, ranks } = choice;
    const macs = [alone.macs, choice.macs] as const;
    const parameters = [alone.parameters, choice.parameters] as const;
    const wanted = { graph: runs, target: targetOf(net, layer, shapeOf) };
    const own = dataFor(layer);
    const moments = own && (await momentsOf(running, layer, own, about, wanted));
    const problem = problemOf(layer, moments, options.ridge);
    const { stages, weight } = factorizer.solve(problem, ranks, options.rounds);
    const replacement = { stages, bias: biasFor(problem, weight) };
    now = replaceLayer(now, layer, replacement);
    running = replaceLayer(running, layer, replacement);
    const error = distance(problem, weight) / energyOf(problem);
    done.push({ node: layer.name, method: factorizer.id, ranks, macs, parameters, error });
    const blind = data && !own ? `; fitted to the weight alone: ${layer.weight.cols} inputs are too many` : "";
    const why = `${factorizer.id}, rank ${ranks.join(" and ")}: ${macs[1]} of ${macs[0]} MACs, ${parameters[1]} of ${parameters[0]} weights, error ${(100 * error).toFixed(1)} %${blind}`;
    notes.push({ node: layer.name, what: "done", why });
    options.log(`${layer.name}: ${why}`);
  }
  return { graph: done.length ? now : graph, layers: done, notes };
}

function excluded(l: LinearLayer, { exclude, pruned }: FactorizeOptions): string | null {
  if (exclude.includes(l.name) || exclude.includes(l.tensor)) return "it is excluded";
  return pruned.has(l.tensor) ? "its single weights are pruned: factors would fill the zeros" : null;
}

/** The reasons of all factorizers, where all refuse. */
function everyRefusal(layer: LinearLayer, factorizers: readonly Factorizer[]): string | null {
  const reasons = factorizers.map((f) => f.refuses(layer));
  return reasons.includes(null) ? null : [...new Set(reasons)].join("; ");
}
