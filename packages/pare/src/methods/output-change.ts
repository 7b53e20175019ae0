/** How far a network's answers are from another's: outputs on calibration data enter, one number leaves. */
import type { Graph } from "../graph/graph.js";
import { observe } from "../importance/observe.js";
import { softmaxBehind } from "../train/softmax-behind.js";
import type { Calibration } from "./moments.js";

/** First outputs of all samples, logits where a Softmax makes them: rows of `width`. */
export interface Answers {
  readonly values: Float32Array;
  readonly width: number;
}
export async function answersOf(graph: Graph, o: Calibration): Promise<Answers> {
  const output = graph.outputs[0]!.name;
  const read = softmaxBehind(graph, output) ?? output;
  const parts: Float32Array[] = [];
  let width = 1;
  await observe(
    { graph, ...o, signal: o.signal },
    () => [read],
    ([value], samples) => {
      parts.push((value!.data as Float32Array).slice());
      width = value!.data.length / samples;
    },
  );
  const values = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    values.set(p, at);
    at += p.length;
  }
  return { values, width };
}

/** Mean KL divergence of the softmaxes for data with classes; else the squared difference over the square of the first. */
export function changeOf(before: Answers, after: Answers, classes: boolean): number {
  const { values, width } = before;
  if (!classes) {
    let [difference, power] = [0, 1e-30];
    values.forEach((v, i) => {
      difference += (v - after.values[i]!) ** 2;
      power += v * v;
    });
    return difference / power;
  }
  let sum = 0;
  const rows = values.length / width;
  for (let r = 0; r < rows; r++) {
    const [p, q] = [before, after].map((a) => logSoftmax(a.values.subarray(r * width, (r + 1) * width)));
    for (let k = 0; k < width; k++) sum += Math.exp(p![k]!) * (p![k]! - q![k]!);
  }
  return Math.max(0, sum / rows);
}
function logSoftmax(z: Float32Array): Float64Array {
  const top = z.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const log = top + Math.log(z.reduce((s, v) => s + Math.exp(v - top), 0));
  return Float64Array.from(z, (v) => v - log);
}
