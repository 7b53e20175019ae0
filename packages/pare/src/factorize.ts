/** THE MAIN PATH of `pare factorize`. A network, a method and perhaps data enter; the network of smaller layers and what became of each leave. */
import { couple } from "./analyze/couple.js";
import { inspect } from "./analyze/inspect.js";
import { refuseQuantized } from "./analyze/refuse-quantized.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { latency } from "./engine/latency.js";
import { PareError } from "./graph/error.js";
import type { Graph } from "./graph/graph.js";
import type { Factorizer } from "./linear/factorizer.js";
import { dimsOf, wholeRuns } from "./methods/costs.js";
import type { FactorizedLayer } from "./methods/factorize-layers.js";
import { type LowRankInput, lowRankOptions, lowRankStage } from "./methods/low-rank.js";
import { factorizers, foreseeable } from "./methods/low-rank-auto.js";
import type { Note } from "./methods/method.js";
import { type AloneOptions, parsedOptions, toolsAlone } from "./methods/tools.js";
import type { EpochMetrics } from "./train/options.js";

export type FactorizeMethod = "auto" | Factorizer["id"];
export const factorizeMethods: readonly FactorizeMethod[] = ["auto", ...factorizers.map((f) => f.id)];

export interface FactorizeOptions extends AloneOptions {
  /** auto (the default): for each layer the one of svd, spatial and tucker2 that loses least. */
  readonly method?: FactorizeMethod;
  /** As in a recipe. */
  readonly options?: LowRankInput;
  readonly engine?: Engine;
}
type Pair = readonly [before: number, after: number];
export interface FactorizeFacts {
  readonly parameters: Pair;
  readonly macs: Pair;
  readonly sizeBytes: Pair;
  /** Median of one run, both networks run in turn; null where the network cannot be run without knowing more of its inputs. */
  readonly latencyMs: Pair | null;
  readonly layers: readonly FactorizedLayer[];
}
export interface Factorized {
  readonly graph: Graph;
  readonly facts: FactorizeFacts;
  readonly notes: readonly Note[];
  readonly history: readonly EpochMetrics[];
}

/**
 * With data each layer is fitted to the answers that it gave in the original network, one after the other, and inputs are those of the network
 * factorised so far; without, to its weight. Throws PareError where no layer pays (with every layer's reason) or the model is quantized, and
 * (usage) for options that make no sense.
 */
export async function factorize(graph: Graph, o: FactorizeOptions = {}): Promise<Factorized> {
  refuseQuantized(graph, "factorize");
  const engine = o.engine ?? (await defaultEngine());
  const wanted = o.method ?? "auto";
  const chosen = wanted === "auto" ? foreseeable : factorizers.filter((f) => f.id === wanted);
  const options = parsedOptions(lowRankOptions, o.options ?? {}, "factorize");
  const result = await lowRankStage(graph, options, await toolsAlone(graph, engine, o, [wanted, options]), chosen);
  if (result.layers.length === 0)
    throw new PareError(
      `no layer of this model pays to be factorised:${result.notes.map((n) => `\n  ${n.node}: ${n.why}`).join("") || " it has no layers of weights"}`,
    );
  const [a, b] = [inspect(graph), inspect(result.graph)];
  const both = (key: "parameters" | "macs" | "sizeBytes"): Pair => [a[key], b[key]];
  const latencyMs = await latency(engine, [graph, result.graph], { ...wholeRuns, dims: dimsOf(couple(graph)) }).then(
    ([x, y]): Pair => [x!.medianMs, y!.medianMs],
    () => null,
  );
  return {
    graph: result.graph,
    facts: {
      parameters: both("parameters"),
      macs: both("macs"),
      sizeBytes: both("sizeBytes"),
      latencyMs,
      layers: result.layers,
    },
    notes: result.notes,
    history: result.history ?? [],
  };
}
