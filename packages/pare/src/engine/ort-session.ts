/** A Session over an onnxruntime session of either package, with errors that name the input and both shapes. */
import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from "onnxruntime-common";
import { PareError } from "../graph/error.js";
import { fromOrt, toOrt } from "./arrays.js";
import type { NDArray, Session } from "./engine.js";

/**
 * Wraps `inner`; `model` is the model's name for messages. `preallocates`: whether onnxruntime writes to outputs it is given;
 * onnxruntime-web takes them and leaves them as they were.
 */
export function wrapSession(
  inner: InferenceSession,
  Tensor: TensorConstructor,
  model: string,
  preallocates: boolean,
): Session {
  const known = new Set(inner.outputNames);
  return {
    async run(feeds, fetches = inner.outputNames, into = {}) {
      const tensors: Record<string, OrtTensor> = {};
      for (const [name, array] of Object.entries(feeds)) tensors[name] = toOrt(Tensor, name, array);
      const wanted: Record<string, OrtTensor | null> = {};
      for (const name of fetches) {
        if (!known.has(name))
          throw new PareError(`${model} has no output "${name}"; it has ${inner.outputNames.join(", ")}`, "usage");
        wanted[name] = preallocates && into[name] ? toOrt(Tensor, name, into[name]) : null;
      }
      const results = await inner.run(tensors, wanted).catch((cause: unknown) => {
        throw new PareError(`${model}: ${complaint(inner, feeds) ?? wordsOf(cause)}`, "input", { cause });
      });
      const out: Record<string, NDArray> = {};
      for (const name of fetches) {
        const result = fromOrt(results[name] as OrtTensor);
        if (into[name] && !preallocates) fill(name, into[name], result);
        out[name] = into[name] ?? result;
      }
      return out;
    },
    release: () => inner.release(),
  };
}

function fill(name: string, to: NDArray, from: NDArray): void {
  if (to.type !== from.type || to.data.length !== from.data.length)
    throw new PareError(`output "${name}" is ${from.type} [${from.dims}], the array for it ${to.type} [${to.dims}]`);
  if (Array.isArray(to.data)) to.data.splice(0, to.data.length, ...(from.data as string[]));
  else (to.data as Float32Array).set(from.data as Float32Array);
}

/** onnxruntime's own words without its source positions. */
export const wordsOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .replace(/(?:\/[^\s:]+)+\.(?:cc|h):\d+\s+\S+\s*/g, "")
    .replace(/\s+/g, " ")
    .trim();

/** What is wrong with the feeds, if it is they: a missing input, a type or a shape that does not fit. */
function complaint(inner: InferenceSession, feeds: Readonly<Record<string, NDArray>>): string | null {
  const declared = new Map(inner.inputMetadata.map((m) => [m.name, m]));
  for (const name of Object.keys(feeds))
    if (!declared.has(name)) return `there is no input "${name}"; the inputs are ${inner.inputNames.join(", ")}`;
  for (const [name, m] of declared) {
    const fed = feeds[name];
    if (!fed) return `input "${name}" is not fed`;
    if (!m.isTensor) continue;
    if (m.type !== fed.type) return `input "${name}" is ${m.type}, got ${fed.type}`;
    // A scalar, or an unknown rank: onnxruntime tells them apart neither here nor when it runs.
    if (m.shape.length === 0) continue;
    const fits =
      m.shape.length === fed.dims.length && m.shape.every((d, i) => typeof d === "string" || d === fed.dims[i]);
    if (!fits) return `input "${name}" has shape [${m.shape}], got [${fed.dims}]`;
  }
  return null;
}
