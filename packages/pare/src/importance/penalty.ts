/** What a network learned, as a penalty on learning something else: a trained graph and its data -> train's option `penalty`. */
import { parametersOf } from "../analyze/parameters.js";
import type { Dataset } from "../data/dataset.js";
import { defaultEngine } from "../engine/default-engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import type { Penalty } from "../train/options.js";
import { trueFisher } from "./fisher.js";
import type { ImportanceOptions } from "./importance.js";
import { synapses } from "./mas.js";
import type { Question, Scores } from "./measure.js";
import { intelligence } from "./synaptic.js";
import { valuesOf } from "./weight-values.js";

/** ewc: Kirkpatrick et al. 2017, eq. 3; si: Zenke, Poole, Ganguli 2017, eq. 4 and 5; mas: Aljundi et al. 2018, eq. 4. */
const kinds = {
  ewc: (q: Question) => trueFisher(q),
  si: (q: Question) => intelligence(q, 0.1),
  mas: (q: Question) => synapses(q),
} as const;
export type PenaltyKind = keyof typeof kinds;

export interface PenaltyOptions extends ImportanceOptions {
  readonly strength: number;
  /** The penalty that this task was learned under: importances add up, the anchor moves on. */
  readonly before?: Penalty;
}

/** Holds all trained weights, biases too. Throws PareError (usage) for an unknown kind, and for "si" without the training's `path`. */
export async function penaltyOf(graph: Graph, data: Dataset, kind: PenaltyKind, o: PenaltyOptions): Promise<Penalty> {
  if (!Object.hasOwn(kinds, kind))
    throw new PareError(`penalty "${kind}": there are ${Object.keys(kinds).join(", ")}`, "usage");
  const names = o.names ?? parametersOf(graph).map((p) => p.name);
  const found: Scores = await kinds[kind]({
    graph,
    names,
    data,
    samples: o.samples ?? 256,
    seed: 0,
    path: o.path ?? null,
    engine: o.engine ?? (await defaultEngine()),
    signal: o.signal,
  });
  const importance = new Map<string, Float32Array>();
  for (const [name, values] of found) {
    const old = o.before?.importance.get(name);
    importance.set(name, old ? values.map((v, i) => v + old[i]!) : values);
  }
  return {
    strength: o.strength,
    importance,
    anchor: new Map([...importance.keys()].map((name) => [name, valuesOf(graph, name).slice()])),
  };
}
