/** Arrays that an engine returns -> constants of a graph. */
import type { Tensor } from "../graph/graph.js";
import type { NDArray } from "./engine.js";

/** The same values as a tensor (the same memory); null for strings. */
export function fromNDArray({ type, dims, data }: NDArray): Tensor | null {
  if (Array.isArray(data)) return null;
  return { type, dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
