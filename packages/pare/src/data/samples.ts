/** Samples as a model takes them, one run each: what calibration, comparison and quantization read. Shapes may differ from sample to sample. */
import type { NDArray } from "../engine/engine.js";

export interface Samples {
  readonly name: string;
  readonly length: number;
  /** Class index, where the data has labels. */
  label(i: number): number | null;
  /** The feeds of one run of the model for sample i, every input by name (a batch axis of one where the model has a batch axis). */
  feeds(i: number): Readonly<Record<string, NDArray>>;
  /** The feeds of one run for several samples where they can share one (equal shapes, an open batch axis); null: run them one by one. */
  batch(indices: readonly number[]): Readonly<Record<string, NDArray>> | null;
}
