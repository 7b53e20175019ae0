/** The tools that a method is given: a graph, data and a place to work enter; training, evaluation and what survives a kill leave. */
import type { z } from "zod";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { evaluate } from "../train/evaluate.js";
import type { EpochMetrics, TrainProgress } from "../train/options.js";
import { train } from "../train/train.js";
import type { Constraints, Tools } from "./method.js";
import type { Unfinished } from "./unfinished.js";

export interface Workplace {
  readonly engine: Engine;
  /** Training data: what is measured and fine-tuned on. */
  readonly data?: Dataset | null | undefined;
  readonly validation?: Dataset | null | undefined;
  readonly seed?: number;
  /** Threads of training; the result does not depend on it. 2 unless said. */
  readonly workers?: number;
  readonly onProgress?: ((p: TrainProgress) => void) | undefined;
  readonly onEpoch?: ((m: EpochMetrics) => void) | undefined;
  readonly log?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}
/** Where a stage keeps what a killed run goes on from, under names of its own. */
export interface StagePlace {
  readonly unfinished: Unfinished;
  readonly stage: string;
}
interface Stage {
  readonly dense: Graph;
  readonly constraints: Constraints;
  readonly limit?: number | null;
  readonly place: StagePlace | null;
}

const signalIn = (signal?: AbortSignal) => (signal ? { signal } : {});

/** Training and evaluation throw PareError (usage) where there is no data. `finished` removes what the stage kept, once its outcome is safe. */
export function toolsFor(w: Workplace, s: Stage): { readonly tools: Tools; finished(): Promise<void> } {
  const { engine, data = null, validation = null, seed = 0 } = w;
  const need = (d: Dataset | null): Dataset => {
    if (d === null) throw new PareError("fine-tuning needs data: give some, or 0 epochs", "usage");
    return d;
  };
  let [trainings, settled] = [0, 0];
  const kept: string[] = [];
  const tools: Tools = {
    engine,
    data,
    validation,
    dense: s.dense,
    constraints: s.constraints,
    seed,
    ...(s.limit == null ? {} : { limit: s.limit }),
    ...signalIn(w.signal),
    log: w.log ?? (() => {}),
    evaluate: (graph) => evaluate(graph, need(validation), { engine, ...signalIn(w.signal) }),
    async train(graph, options) {
      const path = await s.place?.unfinished.trainingPath(`${s.place.stage}-${trainings}`);
      if (path) kept.push(path);
      return train(graph, {
        masks: s.constraints.masks,
        codebooks: s.constraints.codebooks,
        ...options,
        data: need(data),
        ...(validation ? { validation } : {}),
        // Each training of a stage draws its own numbers.
        seed: seed + ++trainings,
        engine,
        workers: w.workers ?? 2,
        ...(path ? { checkpoint: { path } } : {}),
        ...(w.onProgress ? { onProgress: w.onProgress } : {}),
        ...(w.onEpoch ? { onEpoch: w.onEpoch } : {}),
        ...signalIn(w.signal),
      });
    },
    async settled<T extends { readonly graph: Graph }>(work: () => Promise<T>): Promise<T> {
      if (!s.place) return work();
      const { unfinished, stage } = s.place;
      const name = `${stage}-settled-${settled++}`;
      const before = await unfinished.load<T>(name);
      if (before) return before;
      await unfinished.save(name, await work());
      // Read back, so that a run that was never stopped has the very same.
      return (await unfinished.load<T>(name))!;
    },
  };
  return {
    tools,
    finished: async () => {
      for (const path of kept) await s.place?.unfinished.remove(path);
    },
  };
}

export interface AloneOptions extends Omit<Workplace, "engine"> {
  /** A folder for what a killed run goes on from, when the same is called again; the caller's to remove once the result is safe. */
  readonly unfinished?: string | undefined;
}

/** The tools of one method outside of a recipe. `settings`: what else the result depends on, as data. */
export async function toolsAlone(graph: Graph, engine: Engine, o: AloneOptions, settings: unknown): Promise<Tools> {
  const { unfinished: folder, data = null, validation = null, seed = 0 } = o;
  let place: StagePlace | null = null;
  if (folder !== undefined) {
    const { keyOf, Unfinished } = await import("./unfinished.js");
    const key = keyOf(graph, { settings, seed }, [data, validation]);
    place = { unfinished: new Unfinished(folder, key), stage: "only" };
  }
  const constraints = { masks: new Map(), codebooks: new Map() };
  return toolsFor({ ...o, engine }, { dense: graph, constraints, place }).tools;
}

/** Throws PareError (usage) that names the option. */
export function parsedOptions<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PareError(`${where}: ${issue!.path.map(String).join(".")}: ${issue!.message}`, "usage");
}
