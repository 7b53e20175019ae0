/** The door of this room: a graph, data and the name of a measure enter; one score per weight leaves. */
import { parametersOf } from "../analyze/parameters.js";
import type { Dataset } from "../data/dataset.js";
import { defaultEngine } from "../engine/default-engine.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { apoz } from "./apoz.js";
import { batchNormScale } from "./batch-norm-scale.js";
import { fisher, fisherEmpirical, fisherTrue } from "./fisher.js";
import { geometricMedian } from "./geometric-median.js";
import { l1, l2, lamp } from "./magnitude.js";
import { mas } from "./mas.js";
import type { Measure, Path, Scores } from "./measure.js";
import { obd } from "./obd.js";
import { random } from "./random.js";
import { synaptic } from "./synaptic.js";
import { snip, taylor } from "./taylor.js";
import { wanda } from "./wanda.js";

/** Every measure: one line each. */
export const measures = {
  l1,
  l2,
  lamp,
  wanda,
  apoz,
  obd,
  fisher,
  "fisher-true": fisherTrue,
  "fisher-empirical": fisherEmpirical,
  si: synaptic,
  mas,
  taylor,
  snip,
  "bn-scale": batchNormScale,
  fpgm: geometricMedian,
  random,
} as const satisfies Readonly<Record<string, Measure>>;
export type MeasureName = keyof typeof measures;
export const measureNames = Object.keys(measures) as readonly MeasureName[];

export interface ImportanceOptions {
  /** The initialisers to score; the weights of all layers unless said. */
  readonly names?: readonly string[];
  /** Samples that are read, evenly spread; 256 unless said. */
  readonly samples?: number;
  /** Of the measure "random". */
  readonly seed?: number;
  /** For the measure "si": how the training went. */
  readonly path?: Path;
  readonly engine?: Engine;
  readonly signal?: AbortSignal;
}

/**
 * How much each weight matters, by initialiser; higher matters more. Scores are comparable within a layer; across layers where the measure says what a
 * removal costs (obd, fisher, taylor, snip, lamp). Initialisers that a measure says nothing of are left out.
 * Throws PareError for an unknown measure, and (usage) where it needs data, labels or a training that is not given.
 */
export async function importance(
  graph: Graph,
  data: Dataset | null,
  measure: MeasureName,
  o: ImportanceOptions = {},
): Promise<Scores> {
  const known: Measure | undefined = Object.hasOwn(measures, measure) ? measures[measure] : undefined;
  if (!known) throw new PareError(`importance "${measure}": there are ${measureNames.join(", ")}`, "usage");
  if ((known.needs === "data" || known.needs === "labels") && !data)
    throw new PareError(`importance "${measure}" is measured on data: give some`, "usage");
  const names =
    o.names ??
    parametersOf(graph)
      .filter((p) => p.decays)
      .map((p) => p.name);
  for (const name of names)
    if (!graph.initializers.has(name)) throw new PareError(`importance: there is no initialiser "${name}"`, "usage");
  return known.score({
    graph,
    names,
    data,
    samples: o.samples ?? 256,
    seed: o.seed ?? 0,
    path: o.path ?? null,
    engine: o.engine ?? (await defaultEngine()),
    signal: o.signal,
  });
}
