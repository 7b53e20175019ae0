/** The tools that a stage's method is given: training and evaluation with data, engine, seed, progress and checkpoints taken care of. */
import { rm } from "node:fs/promises";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import type { Constraints, Tools } from "../methods/method.js";
import { evaluate } from "../train/evaluate.js";
import type { EpochMetrics, TrainProgress } from "../train/options.js";
import { train } from "../train/train.js";

export interface Workplace {
  readonly engine: Engine;
  readonly data: Dataset;
  readonly validation: Dataset;
  readonly seed: number;
  readonly workers: number;
  readonly limit: number | null;
  readonly signal?: AbortSignal | undefined;
  readonly onTrain: (p: TrainProgress) => void;
  readonly onEpoch: (m: EpochMetrics) => void;
  readonly log: (line: string) => void;
  /** Where training number k of this stage keeps its state. */
  readonly checkpointPath: (k: number) => string;
}

/** `finished` removes the checkpoints, once the stage itself is saved. */
export function toolsFor(
  w: Workplace,
  dense: Graph,
  constraints: Constraints,
): { readonly tools: Tools; finished(): Promise<void> } {
  const used: string[] = [];
  const tools: Tools = {
    engine: w.engine,
    data: w.data,
    validation: w.validation,
    dense,
    constraints,
    seed: w.seed,
    ...(w.limit === null ? {} : { limit: w.limit }),
    ...(w.signal ? { signal: w.signal } : {}),
    log: w.log,
    evaluate: (graph) => evaluate(graph, w.validation, { engine: w.engine, ...(w.signal ? { signal: w.signal } : {}) }),
    train(graph, options) {
      const path = w.checkpointPath(used.length);
      used.push(path);
      return train(graph, {
        masks: constraints.masks,
        codebooks: constraints.codebooks,
        ...options,
        data: w.data,
        validation: w.validation,
        // Each training of a stage draws its own numbers.
        seed: w.seed + used.length,
        engine: w.engine,
        workers: w.workers,
        checkpoint: { path },
        onProgress: w.onTrain,
        onEpoch: w.onEpoch,
        ...(w.signal ? { signal: w.signal } : {}),
      });
    },
  };
  return {
    tools,
    finished: async () => {
      for (const path of used) await rm(path, { force: true });
    },
  };
}
