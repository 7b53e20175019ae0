/** Parts of a dense tensor: a Tensor and one mask per axis come in; out, the Tensor without the masked indices, or with zeros there. */
import { PareError } from "../graph/error.js";
import type { Tensor } from "../graph/graph.js";
import { bitsOf, sizeOf } from "../graph/tensor.js";

/** true: the index survives; null: all of the axis do. */
export type AxisMasks = readonly (readonly boolean[] | null)[];

const widthOf = (t: Tensor): number => {
  const bits = bitsOf[t.type];
  if (bits < 8) throw new PareError(`cannot cut channels of a ${t.type} tensor [${t.dims}]`);
  return bits / 8;
};
/** Calls `each` with the offset of every run of elements (the last axis on its own) and whether the indices before it survive. */
function rows(dims: readonly number[], masks: AxisMasks, each: (offset: number, alive: boolean) => void): void {
  const last = dims.length - 1;
  const walk = (d: number, offset: number, alive: boolean): void => {
    if (d >= last) {
      each(offset * (dims[last] ?? 1), alive);
      return;
    }
    for (let i = 0; i < dims[d]!; i++) walk(d + 1, offset * dims[d]! + i, alive && (masks[d]?.[i] ?? true));
  };
  walk(0, 0, true);
}

/** The tensor without the indices whose mask is false. */
export function keepIndices(t: Tensor, masks: AxisMasks): Tensor {
  const width = widthOf(t);
  const dims = t.dims.map((n, d) => masks[d]?.filter(Boolean).length ?? n);
  const bytes = new Uint8Array(sizeOf(dims) * width);
  const row = (t.dims.at(-1) ?? 1) * width;
  const mask = masks[t.dims.length - 1];
  let to = 0;
  rows(t.dims, masks, (offset, alive) => {
    if (!alive) return;
    const from = offset * width;
    if (!mask) {
      bytes.set(t.bytes.subarray(from, from + row), to);
      to += row;
      return;
    }
    mask.forEach((keep, i) => {
      if (!keep) return;
      bytes.set(t.bytes.subarray(from + i * width, from + (i + 1) * width), to);
      to += width;
    });
  });
  return { ...t, dims, bytes };
}

/** The tensor with zero at every index that has a false mask on some axis. */
export function zeroIndices(t: Tensor, masks: AxisMasks): Tensor {
  const width = widthOf(t);
  const bytes = t.bytes.slice();
  const row = (t.dims.at(-1) ?? 1) * width;
  const mask = masks[t.dims.length - 1];
  rows(t.dims, masks, (offset, alive) => {
    const from = offset * width;
    if (!alive) bytes.fill(0, from, from + row);
    else
      mask?.forEach((keep, i) => {
        if (!keep) bytes.fill(0, from + i * width, from + (i + 1) * width);
      });
  });
  return { ...t, bytes };
}
