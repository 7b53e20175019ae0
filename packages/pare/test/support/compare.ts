/** Tensors of the ONNX project's tests as arrays for an engine, and how far two arrays lie apart. */
import { arrays } from "../../dist/engine/arrays.js";
import type { NDArray } from "../../dist/engine/engine.js";
import { float16Value } from "../../dist/graph/float16.js";
import type { Tensor } from "../../dist/graph/graph.js";

export function arrayOf(t: Tensor): NDArray;
/** null where the JavaScript bindings have no such type. */
export function arrayOf(t: Tensor, otherwise: null): NDArray | null;
export function arrayOf(t: Tensor, otherwise?: null): NDArray | null {
  if (t.type === "string")
    return { type: t.type, dims: t.dims, data: (t.strings ?? []).map((s) => new TextDecoder().decode(s)) };
  const TypedArray = arrays[t.type];
  if (!TypedArray && otherwise === null) return null;
  if (!TypedArray) throw new Error(`no array holds ${t.type}`);
  return { type: t.type, dims: t.dims, data: new TypedArray(t.bytes.slice().buffer as ArrayBuffer) };
}

const numberAt = (a: NDArray, i: number): number =>
  a.type === "float16" ? float16Value(Number(a.data[i])) : Number(a.data[i]);

/** Largest difference relative to max(1, |wanted|); Infinity where types or shapes differ. NaN equals NaN, halves may differ by their precision. */
export function worstDifference(found: NDArray, wanted: NDArray): number {
  if (found.type !== wanted.type || `${found.dims}` !== `${wanted.dims}`) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < wanted.data.length; i++) {
    if (found.type === "string") {
      if (found.data[i] !== wanted.data[i]) return Number.POSITIVE_INFINITY;
      continue;
    }
    const [a, b] = [numberAt(found, i), numberAt(wanted, i)];
    if (Object.is(a, b) || a === b) continue;
    const slack = found.type === "float16" ? 20 : 1;
    const d = Math.abs(a - b) / Math.max(1, Math.abs(b)) / slack;
    if (!(d <= worst)) worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return worst;
}
