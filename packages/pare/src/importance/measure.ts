/** What an importance measure is: a graph and data -> one score per weight. A higher score is a weight that matters more. */
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";

/** By initialiser, one score for each of its elements. */
export type Scores = ReadonlyMap<string, Float32Array>;

/** How the weights went in a training, by initialiser: what `train` gives with the option `path`. */
export interface Path {
  /** Sum over the steps of -gradient x change, the gradient that of the loss alone. */
  readonly work: Scores;
  /** The weights before. */
  readonly start: Scores;
}

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
