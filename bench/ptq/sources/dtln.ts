/** The two stages of the DTLN denoiser as its authors run them: blocks of 512 samples every 128, a mask over magnitudes, then a mask over learned features. */
import { ortNode } from "../../../packages/pare/dist/engine/ort-node.js";
import { read } from "../../../packages/pare/dist/graph/file.js";
import { runs, steps } from "./carry.js";
import { fourier } from "./fourier.js";
import { shared } from "./places.js";
import type { Recording, Sample } from "./samples.js";
import { calibrationRecordings, type Recorded, recordings } from "./sound.js";

const [block, shift, bins] = [512, 128, 257];
export const carry = {
  1: { tf_op_layer_stack_2: "input_3" },
  2: { tf_op_layer_stack_5: "input_5" },
} as const;
const zeros = () => ({ data: new Float32Array(512), dims: [1, 2, 128, 2] });
const first = <T>(i: number, state: T): T | object => (i === 0 ? state : {});

interface Spectrum {
  readonly re: Float64Array;
  readonly im: Float64Array;
}
function spectra({ samples }: Recorded): Spectrum[] {
  const out: Spectrum[] = [];
  for (let at = 0; at + block <= samples.length; at += shift) {
    const [re, im] = [Float64Array.from(samples.subarray(at, at + block)), new Float64Array(block)];
    fourier(re, im);
    out.push({ re, im });
  }
  return out;
}

/** Model 1 takes the magnitudes of blocks. */
function magnitudes(blocks: readonly Spectrum[]): Sample[] {
  return blocks.map(({ re, im }, i) => ({
    inputs: {
      input_2: { data: Float32Array.from({ length: bins }, (_, k) => Math.hypot(re[k]!, im[k]!)), dims: [1, 1, bins] },
      ...first(i, { input_3: zeros() }),
    },
  }));
}

/** Model 2 takes blocks whose spectra float model 1 has masked. */
async function masked(blocks: readonly Spectrum[]): Promise<Sample[]> {
  const graph = await read(shared("models/dtln_model_1.onnx"));
  const session = await ortNode.load(graph);
  const out: Sample[] = [];
  for await (const { outputs } of runs(session, graph.inputs, magnitudes(blocks), carry[1])) {
    const mask = outputs.activation_2!.data as Float32Array;
    const of = (part: Float64Array) => part.map((v, k) => v * mask[Math.min(k, block - k)]!);
    const { re, im } = blocks[out.length]!;
    const [real, imaginary] = [of(re), of(im)];
    fourier(real, imaginary, true);
    const data = Float32Array.from(real, (v) => v / block);
    out.push({ inputs: { input_4: { data, dims: [1, 1, block] }, ...first(out.length, { input_5: zeros() }) } });
  }
  await session.release();
  return out;
}

/** The recordings that calibrate, or five others, as the feeds of a stage. */
export async function dtlnRecordings(stage: 1 | 2, part: "train" | "test"): Promise<Recording[]> {
  const all = recordings();
  const some = part === "train" ? all.slice(0, calibrationRecordings) : all.slice(calibrationRecordings, 10);
  const out: Recording[] = [];
  for (const recorded of some) {
    const blocks = spectra(recorded);
    out.push(stage === 1 ? magnitudes(blocks) : await masked(blocks));
  }
  return out;
}

/** 100 runs of the calibrating recordings, or every tenth run of the others, with the float model's states. */
export async function* dtlnSamples(stage: 1 | 2, part: "train" | "test"): AsyncGenerator<Sample> {
  const list = await dtlnRecordings(stage, part);
  const total = list.reduce((sum, r) => sum + r.length, 0);
  const step = part === "train" ? Math.ceil(total / 100) : 10;
  yield* steps(shared(`models/dtln_model_${stage}.onnx`), list, carry[stage], step);
}
