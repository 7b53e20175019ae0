/** What one stage hands to the next, and what the report will say of it. */
import type { Graph } from "../graph/graph.js";
import type { Constraints, Note } from "../methods/method.js";
import type { StageFacts } from "../report/facts.js";
import type { EpochMetrics } from "../train/options.js";

export interface Outcome {
  readonly graph: Graph;
  readonly constraints: Constraints;
  readonly facts: StageFacts;
  /** On the validation data. */
  readonly validationError: number;
  readonly history: readonly EpochMetrics[];
  readonly notes: readonly Note[];
}
