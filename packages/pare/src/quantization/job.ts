/** What the writers of one quantization share. */
import type { Candidate } from "./eligible.js";
import type { Placement } from "./place.js";
import type { Grid, LayerPlan, QuantizedTensor, Target } from "./plan.js";
import type { WeightStore } from "./weights.js";
import type { Writer } from "./writer.js";

export interface Job {
  readonly w: Writer;
  readonly store: WeightStore;
  /** Planned formats, "float" left out. */
  readonly layers: ReadonlyMap<string, LayerPlan>;
  readonly candidates: ReadonlyMap<string, Candidate>;
  readonly placement: Placement;
  readonly activations: ReadonlyMap<string, Grid>;
  /** Constants that are codes from here on, by name. */
  readonly replacing: ReadonlyMap<string, QuantizedTensor>;
  readonly target: Target;
}
