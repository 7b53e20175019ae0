/** An array as a file holds it, and how it becomes a column of samples. */
import { PareError } from "../graph/error.js";
import type { Column } from "./columns.js";
import { toLabels } from "./from-table.js";

export interface RawArray {
  readonly dims: readonly number[];
  readonly data: Column["data"];
}

/** How images lie in an array: channels first, channels last, or to be told from the shape ("auto": a last axis of 1, 3 or 4 of uint8). */
export type Layout = "auto" | "nchw" | "nhwc";

/** Samples along the first axis. Images become c h w: gray ones [n h w] of uint8 get their channel axis, channels-last ones are transposed. */
export function toColumn(array: RawArray, name: string | null, layout: Layout, title: string): Column {
  const [n, ...dims] = array.dims;
  if (n === undefined) throw new PareError(`${title}: a single number, not an array of samples`);
  if (n < 1) throw new PareError(`${title}: no samples (its shape is [${array.dims}])`);
  if (dims.some((d) => d < 1)) throw new PareError(`${title}: its shape [${array.dims}] holds no values`);
  const pixels = array.data instanceof Uint8Array;
  if (dims.length === 2 && pixels) return { name, dims: [1, ...dims], data: array.data };
  if (dims.length !== 3) return { name, dims, data: array.data };
  const [a, b, c] = dims as [number, number, number];
  const few = (d: number): boolean => d === 1 || d === 3 || d === 4;
  const last = layout === "nhwc" || (layout === "auto" && pixels && few(c) && !few(a));
  if (!last) return { name, dims, data: array.data };
  return { name, dims: [c, a, b], data: channelsFirst(array.data, n, a * b, c) };
}

/** n (hw) c -> n c (hw). */
function channelsFirst(data: Column["data"], n: number, hw: number, c: number): Column["data"] {
  const out = data.slice();
  for (let s = 0; s < n; s++)
    for (let p = 0; p < hw; p++) for (let k = 0; k < c; k++) out[(s * c + k) * hw + p] = data[(s * hw + p) * c + k]!;
  return out;
}

/** Labels [n], [n, 1] as class indices. Throws where the array is neither or holds something else than whole numbers. */
export function toClassIndices(array: RawArray, title: string): Int32Array {
  const [n, ...rest] = array.dims;
  if (n === undefined || rest.some((d) => d !== 1))
    throw new PareError(`${title}: labels of shape [${array.dims}]: expected [n]`);
  return toLabels(array.data, title);
}
