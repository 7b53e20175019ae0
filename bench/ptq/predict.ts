/** A session and test samples come in; every run's outputs go out, and what two models' outputs differ by. */
import type { NDArray, Session } from "../../packages/pare/dist/engine/engine.js";
import { float16Value } from "../../packages/pare/dist/graph/float16.js";
import type { Value } from "../../packages/pare/dist/graph/graph.js";
import { type Carry, runs } from "./sources/carry.js";
import type { Recording } from "./sources/samples.js";

export interface Predictions {
  /** By output: one array per run. States that only go from run to run are left out. */
  readonly outputs: Readonly<Record<string, readonly Float32Array[]>>;
  readonly dims: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Classes, where the samples have them. */
  readonly labels: readonly number[];
  /** Runs of each recording. */
  readonly lengths: readonly number[];
}

export async function predict(
  session: Session,
  inputs: readonly Value[],
  recordings: AsyncIterable<Recording> | Iterable<Recording>,
  carry: Carry = {},
): Promise<Predictions> {
  const outputs: Record<string, Float32Array[]> = {};
  const dims: Record<string, (readonly number[])[]> = {};
  const [labels, lengths]: [number[], number[]] = [[], []];
  for await (const recording of recordings) {
    lengths.push(recording.length);
    for (const { label } of recording) if (label !== undefined) labels.push(label);
    for await (const run of runs(session, inputs, recording, carry))
      for (const [name, array] of Object.entries(run.outputs)) {
        if (name in carry) continue;
        (outputs[name] ??= []).push(floats(array));
        (dims[name] ??= []).push(array.dims);
      }
  }
  return { outputs, dims, labels, lengths };
}

function floats({ type, data }: NDArray): Float32Array {
  if (type === "float16") return Float32Array.from(data as Uint16Array, float16Value);
  return Float32Array.from(data as ArrayLike<number | bigint>, Number);
}

/** Signal to noise in dB over all runs of all outputs; infinite where nothing differs. NaN counts as noise as loud as the signal. */
export function snrDb(float: Predictions, other: Predictions): number {
  let [signal, noise] = [0, 0];
  for (const [name, runs] of Object.entries(float.outputs))
    for (const [r, a] of runs.entries()) {
      const b = other.outputs[name]![r]!;
      for (let i = 0; i < a.length; i++) {
        signal += a[i]! ** 2;
        noise += Number.isFinite(b[i]!) ? (a[i]! - b[i]!) ** 2 : a[i]! ** 2;
      }
    }
  return 10 * Math.log10(signal / noise);
}
