/** THE MAIN PATH of `pare prune`. A network, a method and perhaps data enter; the pruned network and what became of it leave. */
import type { z } from "zod";
import { couple } from "./analyze/couple.js";
import { inspect } from "./analyze/inspect.js";
import { type LayerWidth, layerWidths } from "./analyze/layer-widths.js";
import { layersOf } from "./analyze/layers.js";
import { refuseQuantized } from "./analyze/refuse-quantized.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { latency } from "./engine/latency.js";
import { PareError } from "./graph/error.js";
import type { Graph } from "./graph/graph.js";
import { nearestNames } from "./graph/nearest-names.js";
import { dimsOf, wholeRuns } from "./methods/costs.js";
import { type Note, targetNote } from "./methods/method.js";
import { groupLassoMethod } from "./methods/prune/group-lasso.js";
import { growingMethod } from "./methods/prune/growing.js";
import { magnitude } from "./methods/prune/magnitude.js";
import { sparsegpt } from "./methods/prune/sparsegpt.js";
import { structured } from "./methods/prune/structured.js";
import { type AloneOptions, parsedOptions, toolsAlone } from "./methods/tools.js";
import { liftConstants } from "./passes/lift-constants.js";

const methods = { magnitude, sparsegpt, structured, "group-lasso": groupLassoMethod, growing: growingMethod };
export type PruneMethod = keyof typeof methods;

/** `data`: training data, what is measured, repaired and fine-tuned on. */
export interface PruneOptions extends AloneOptions {
  /** magnitude: single weights by a criterion; sparsegpt: single weights, the others making up for them; structured: whole channels; group-lasso, growing: whole channels, by training under a penalty. */
  readonly method: PruneMethod;
  /** The method's own, as in a recipe. */
  readonly options?: unknown;
  readonly engine?: Engine;
}
export interface PruneFacts {
  readonly parameters: readonly [number, number];
  readonly nonzero: readonly [number, number];
  readonly macs: readonly [number, number];
  readonly sizeBytes: readonly [number, number];
  /** Median of one run, both networks run in turn; null where an input's dims are open. */
  readonly latencyMs: readonly [number, number] | null;
  /** Output channels by layer. */
  readonly widths: readonly LayerWidth[];
}
export interface Pruned {
  readonly graph: Graph;
  readonly facts: PruneFacts;
  readonly notes: readonly Note[];
}

/** Throws PareError where nothing can be removed and where the model is quantized, and (usage) for options that make no sense and data that is missing. */
export async function prune(input: Graph, o: PruneOptions): Promise<Pruned> {
  refuseQuantized(input, "prune");
  const graph = liftConstants(input);
  const engine = o.engine ?? (await defaultEngine());
  const method = methods[o.method];
  const options = parsedOptions<z.ZodType>(method.options, o.options ?? {}, method.id);
  const known = layersOf(graph).flatMap((l) => [l.weight, l.node.name]);
  // The other methods look themselves.
  for (const name of o.method === "magnitude" ? (options as { exclude: readonly string[] }).exclude : [])
    if (!known.includes(name))
      throw new PareError(
        `${method.id}: exclude names "${name}", which is no layer; nearest are ${nearestNames(name, known)
          .map((n) => `"${n}"`)
          .join(", ")}`,
        "usage",
      );
  const { graph: pruned, notes } = await method.apply(
    graph,
    options as never,
    await toolsAlone(graph, engine, o, [method.id, options]),
  );
  if (known.length === 0 || (notes.length > 0 && notes.every((n) => n.what === "skipped" || n.node === targetNote)))
    throw new PareError(
      `nothing of this model can be pruned:${notes.map((n) => `\n  ${n.node}: ${n.why}`).join("") || " it has no layers of weights"}`,
    );
  return { graph: pruned, notes, facts: await factsOf(graph, pruned, engine) };
}

async function factsOf(before: Graph, after: Graph, engine: Engine): Promise<PruneFacts> {
  const coupling = couple(before);
  const [a, b] = [inspect(before), inspect(after)];
  const both = (key: "parameters" | "nonzero" | "macs" | "sizeBytes") => [a[key], b[key]] as const;
  return {
    parameters: both("parameters"),
    nonzero: both("nonzero"),
    macs: both("macs"),
    sizeBytes: both("sizeBytes"),
    latencyMs: await latency(engine, [before, after], { ...wholeRuns, dims: dimsOf(coupling) }).then(
      ([x, y]) => [x!.medianMs, y!.medianMs] as const,
      () => null,
    ),
    widths: layerWidths(before, after),
  };
}
