/** Samples by index. Everything a loop, a calibration or an evaluation reads comes through this interface. */
import type { NDArray } from "../engine/engine.js";
import type { ElementType } from "../graph/graph.js";

export interface Field {
  /** The graph input it feeds; null: the graph's only input. */
  readonly name: string | null;
  readonly type: ElementType;
  /** Dims of one sample, without the batch axis. */
  readonly dims: readonly number[];
}

export interface Batch {
  /** One per field, dims [b, ...field.dims]. */
  readonly inputs: readonly NDArray[];
  /** Class indices, where the data has them. */
  readonly labels?: Int32Array;
  /** Regression targets [b, ...], where the data has them. */
  readonly targets?: NDArray;
}

export interface Dataset {
  readonly name: string;
  /** Number of samples. */
  readonly length: number;
  readonly fields: readonly Field[];
  /** Number of classes; absent for data without labels. */
  readonly classes?: number;
  /** Their names, where the source has them. */
  readonly classNames?: readonly string[];
  /** The samples at these indices, in this order. */
  batch(indices: ArrayLike<number>): Batch;
}
