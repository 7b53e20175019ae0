/** What an importance measure is: a graph and data -> one score per weight. A higher score is a weight that matters more. */
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import type { Path } from "../train/options.js";

export type { Path };

/** By initialiser, one score for each of its elements. */
export type Scores = ReadonlyMap<string, Float32Array>;

/** What a measure is asked. */
export interface Question {
  readonly graph: Graph;
  /** The float32 initialisers that scores are wanted for. */
  readonly names: readonly string[];
  readonly data: Dataset | null;
  /** How many samples are read, evenly spread. */
  readonly samples: number;
  readonly seed: number;
  readonly path: Path | null;
  readonly engine: Engine;
  readonly signal?: AbortSignal | undefined;
}

export interface Measure {
  readonly paper: string;
  readonly needs: "nothing" | "data" | "labels" | "path";
  /** Initialisers that the measure says nothing of are left out. Throws PareError where the graph does not let it measure. */
  readonly score: (q: Question) => Promise<Scores> | Scores;
}
