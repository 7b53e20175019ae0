/** The windows of silero.ts for the model that has no input for the sampling rate. */
import type { Recording, Sample } from "../sources/samples.js";
import * as silero from "./silero.js";

function without({ inputs }: Sample): Sample {
  const { sr: _, ...rest } = inputs!;
  return { inputs: rest };
}
async function* part(samples: AsyncIterable<Sample>): AsyncGenerator<Sample> {
  for await (const sample of samples) yield without(sample);
}
export const train = () => part(silero.train());
export const test = () => part(silero.test());
export const recordings = (): Recording[] => silero.recordings().map((r) => r.map(without));
