/** The tools of one method outside of a recipe: a graph and perhaps data enter; training, evaluation and the rest leave, without checkpoints. */
import type { z } from "zod";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { evaluate } from "../train/evaluate.js";
import type { EpochMetrics, TrainProgress } from "../train/options.js";
import { train } from "../train/train.js";
import type { Tools } from "./method.js";

export interface AloneOptions {
  /** Training data: what is measured and fine-tuned on. */
  readonly data?: Dataset | null | undefined;
  readonly validation?: Dataset | null | undefined;
  readonly seed?: number;
  readonly workers?: number;
  readonly onProgress?: (p: TrainProgress) => void;
  readonly onEpoch?: (m: EpochMetrics) => void;
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Training and evaluation throw PareError (usage) where there is no data. */
export function toolsAlone(graph: Graph, engine: Engine, o: AloneOptions): Tools {
  const { data = null, validation = null, seed = 0, signal } = o;
  const need = <T>(value: T | null): T => {
    if (value === null) throw new PareError("fine-tuning needs data: give some, or 0 epochs", "usage");
    return value;
  };
  const shared = { engine, ...(signal ? { signal } : {}) };
  let trainings = 0;
  return {
    ...shared,
    data,
    validation,
    dense: graph,
    constraints: { masks: new Map(), codebooks: new Map() },
    seed,
    log: o.log ?? (() => {}),
    evaluate: (g) => evaluate(g, need(validation), shared),
    train: (g, training) =>
      train(g, {
        ...training,
        ...shared,
        data: need(data),
        ...(validation ? { validation } : {}),
        seed: seed + ++trainings,
        workers: o.workers ?? 2,
        ...(o.onProgress ? { onProgress: o.onProgress } : {}),
        ...(o.onEpoch ? { onEpoch: o.onEpoch } : {}),
      }),
  };
}

/** Throws PareError (usage) that names the option. */
export function parsedOptions<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PareError(`${where}: ${issue!.path.map(String).join(".")}: ${issue!.message}`, "usage");
}
