/** Samples as a model takes them, one run each: what calibration, comparison and quantization read. Shapes may differ from sample to sample. */
import type { NDArray } from "../engine/engine.js";

export interface Samples {
  readonly name: string;
  readonly length: number;
  /** Class index, where the data has labels. */
  label(i: number): number | null;
  /** The feeds of one run of the model for sample i, every input by name (a batch axis of one where the model has a batch axis). */
  feeds(i: number): Readonly<Record<string, NDArray>>;
  /** The feeds of one run for several samples, for a graph that takes several (`together`); null where their shapes differ or none has a batch axis of its own. */
  batch(indices: readonly number[]): Readonly<Record<string, NDArray>> | null;
  /** The number of sample i in what it was taken from; i unless given. */
  numberOf?(i: number): number;
}

/** Sample i, for messages. */
export const placeOf = (samples: Samples, i: number): string => `${samples.name}: sample ${samples.numberOf?.(i) ?? i}`;

/** Some of the samples, by their indices. */
export function chosenOf(samples: Samples, indices: readonly number[]): Samples {
  const at = (k: number): number => indices[k]!;
  return {
    name: samples.name,
    length: indices.length,
    label: (k) => samples.label(at(k)),
    feeds: (k) => samples.feeds(at(k)),
    batch: (some) => samples.batch(some.map(at)),
    numberOf: (k) => samples.numberOf?.(at(k)) ?? at(k),
  };
}
