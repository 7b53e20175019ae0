/** A trained classifier and images come in; where the model does far better on the same images in another scale, a sentence that says in which. */
import type { Dataset } from "../data/dataset.js";
import { limited } from "../data/views.js";
import type { Engine } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { evaluate } from "./evaluate.js";

const samples = 300;
/** An error that a model shows on its own kind of data too. */
const plausible = 0.15;

/**
 * null where the model does well enough, or no usual scale of pixels helps it: half the error or less is asked for. Measures on at most 300
 * samples, four times.
 */
export async function suspectPixels(
  graph: Graph,
  data: Dataset,
  options: { readonly engine: Engine; readonly signal?: AbortSignal },
): Promise<string | null> {
  const field = data.fields.length === 1 ? data.fields[0]! : null;
  if (field?.type !== "float32" || field.dims.length !== 3 || data.classes === undefined) return null;
  const some = limited(data, samples);
  const errorOf = async (scaled: Dataset): Promise<number> =>
    (
      await evaluate(graph, scaled, options).catch((e: unknown) => {
        if (e instanceof PareError) return { error: 1 };
        throw e;
      })
    ).error;
  const now = await errorOf(some);
  if (now < plausible) return null;
  const { mean, std } = statisticsOf(some, field.dims);
  const every = (v: number) => mean.map(() => v);
  const candidates = [
    { mean, std, as: `${list(mean)}/${list(std)}, their own mean and deviation` },
    { mean: every(0.5), std: every(0.5), as: "0.5/0.5, from -1 to 1" },
    { mean: every(0), std: every(1 / 255), as: "0/0.00392157, from 0 to 255" },
  ];
  let best = { error: now, as: "" };
  for (const c of candidates) {
    const error = await errorOf(rescaled(some, c));
    if (error < best.error) best = { error, as: c.as };
  }
  if (best.error > now / 2) return null;
  const percent = (e: number) => `${(100 * e).toFixed(1)} %`;
  return `on ${some.length} samples the model's error is ${percent(now)}, but ${percent(best.error)} with the pixels scaled by ${best.as}: is --normalize missing or wrong?`;
}

const list = (values: readonly number[]): string => values.map((v) => String(Number(v.toFixed(4)))).join(",");

interface Scale {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Per channel, of images c h w. */
function statisticsOf(data: Dataset, [c, h, w]: readonly number[]): Scale {
  const values = data.batch(Uint32Array.from({ length: data.length }, (_, i) => i)).inputs[0]!.data as Float32Array;
  const area = h! * w!;
  const sums = Array.from({ length: c! }, () => ({ sum: 0, power: 0 }));
  values.forEach((v, i) => {
    const s = sums[Math.floor(i / area) % c!]!;
    s.sum += v;
    s.power += v * v;
  });
  const n = data.length * area;
  const mean = sums.map((s) => s.sum / n);
  return { mean, std: sums.map((s, k) => Math.max(1e-3, Math.sqrt(Math.max(0, s.power / n - mean[k]! ** 2)))) };
}

function rescaled(data: Dataset, { mean, std }: Scale): Dataset {
  const [c, h, w] = data.fields[0]!.dims as [number, number, number];
  const area = h * w;
  return {
    ...data,
    batch(indices) {
      const batch = data.batch(indices);
      const { type, dims, data: values } = batch.inputs[0]!;
      const scaled = (values as Float32Array).map((v, i) => {
        const k = Math.floor(i / area) % c;
        return (v - mean[k]!) / std[k]!;
      });
      return { ...batch, inputs: [{ type, dims, data: scaled }] };
    },
  };
}
