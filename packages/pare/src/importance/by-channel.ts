/** Measures that know channels and not weights: one score per output channel of a layer -> the same score for all of the channel's weights. */
import type { Layer } from "../analyze/layers.js";
import { sizeOf } from "../graph/tensor.js";

/** By flat index of a weight of `dims`, the index along the output's axes of it (several axes count as one, in row-major order). */
export function channelOf({ dims, kept }: Pick<Layer, "dims" | "kept">): (flat: number) => number {
  const strides = dims.map((_, d) => sizeOf(dims.slice(d + 1)));
  return (flat) => dims.reduce((at, n, d) => (kept[d] ? at * n + (Math.floor(flat / strides[d]!) % n) : at), 0);
}
/** How many output channels a layer has. */
export const channelsOf = ({ dims, kept }: Pick<Layer, "dims" | "kept">): number =>
  sizeOf(dims.filter((_, d) => kept[d]));

/** One score per weight from one per output channel. */
export function spreadOver(layer: Pick<Layer, "dims" | "kept">, scores: ArrayLike<number>): Float32Array {
  const at = channelOf(layer);
  return Float32Array.from({ length: sizeOf(layer.dims) }, (_, i) => scores[at(i)]!);
}
