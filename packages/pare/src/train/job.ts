/** One gradient run over one micro-batch as memory: what it reads, where its results go. Plain buffers, or shared ones between threads. */

import type { TypedArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { DropoutMask, Statistic } from "../ops/record.js";
import type { Layout } from "./layout.js";
import type { Feed, TrainingGraph } from "./training-graph.js";

/** Everything a thread needs to know to run gradients; can be sent to a worker. */
export interface Plan {
  readonly graph: TrainingGraph["graph"];
  readonly loss: string;
  readonly feeds: readonly Feed[];
  readonly layout: Layout;
  /** In the order of the layout's segments; empty where the update is inside and they do not come out. */
  readonly gradients: readonly string[];
  /** Each with its place among the micro-batch's statistics. */
  readonly statistics: readonly (Statistic & { readonly at: number; readonly length: number })[];
  readonly dropouts: readonly (DropoutMask & { readonly dims: readonly number[] })[];
  readonly seed: number;
}

export interface Job {
  /** In the order of the plan's feeds. */
  readonly feeds: readonly TypedArray[];
  /** Of the layout's vector. */
  readonly gradient: Float32Array;
  readonly statistics: Float32Array;
  /** [loss of the micro-batch]. */
  readonly loss: Float64Array;
  /** [step of the run, micro-batch of the step]: what random draws depend on. */
  readonly place: Int32Array;
}

type Allocate = (bytes: number) => ArrayBufferLike;
type FeedArray = new (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray;
const arrays: Partial<Record<Feed["type"], FeedArray>> = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  bool: Uint8Array,
};

/** Throws PareError for an input type that training does not carry. */
export function feedArray(feed: Feed, allocate: Allocate): TypedArray {
  const Type = arrays[feed.type];
  if (!Type) throw new PareError(`input "${feed.name}": training does not carry ${feed.type}`);
  const length = sizeOf(feed.dims);
  return new Type(allocate(length * (Type as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT), 0, length);
}

/** A new job; with `twin`, one that shares the twin's memory for results. */
export const newJob = (plan: Plan, allocate: Allocate, twin?: Job): Job => ({
  feeds: plan.feeds.map((f) => feedArray(f, allocate)),
  gradient: twin?.gradient ?? new Float32Array(allocate(4 * plan.layout.vector)),
  statistics: twin?.statistics ?? new Float32Array(allocate(4 * statisticsLength(plan))),
  loss: twin?.loss ?? new Float64Array(allocate(8)),
  place: new Int32Array(allocate(8)),
});
export const statisticsLength = (plan: Plan): number => plan.statistics.reduce((sum, s) => sum + s.length, 0);
