/** What a search ended with and limits of loss, bytes and time enter; what keeps them, or comes nearest, leaves. */
import { float32sOf } from "../graph/tensor.js";
import { dequantizeTensor } from "../quantization/grid.js";
import { nearestWeight } from "../quantization/weight-grid.js";
import { wiringOf } from "../quantization/wiring.js";
import type { Patience } from "./patience.js";
import { db, integerChoices, type Searched, suspected, timesOf, uniformChoices } from "./search.js";
import { type Attempt, type Choice, type Judged, stored, type Workbench } from "./workbench.js";

export interface Limits {
  /** Allowed rise of the error where samples have labels, else allowed share of samples with another answer than the float model's; 0..1. */
  readonly maxDrop?: number;
  /** Of the file. */
  readonly maxBytes?: number;
  /** Milliseconds of a run, over those of the float model. */
  readonly maxLatency?: number;
}
type Told = (found: Searched, what: string) => void;

/** What the samples say of max-drop: the rise of the error, or the answers that differ; null where the model names no classes. */
export function dropOf({ verdict }: Judged): number | null {
  if (verdict.errorRise !== null) return verdict.errorRise;
  return verdict.agreement === null ? null : 1 - verdict.agreement;
}

/** The most accurate of some plans that is fast enough, or the fastest. Needs samples. */
export async function fastEnough(plain: Workbench, found: Searched, maxLatency: number, told: Told): Promise<Searched> {
  const attempts: Attempt[] = [
    ...(["all", "core"] as const).map(
      (which): Attempt => ({ choices: integerChoices(plain.candidates, which), ranges: "min-max" }),
    ),
    ...(["dynamic", "weights8"] as const).map(
      (format): Attempt => ({ choices: uniformChoices(plain.candidates, format), ranges: "min-max" }),
    ),
  ];
  const plans: Searched[] = [found];
  for (const attempt of attempts) plans.push({ bench: plain, best: await plain.judge(attempt) });
  const ratios = await ratiosToFloat(plain, plans);
  const fast = plans.filter((_, i) => ratios[i]! <= maxLatency);
  const fastest = plans[ratios.indexOf(Math.min(...ratios))]!;
  if (fast.includes(found)) return found;
  const best = fast.reduce((a, b) => (db(b.best) > db(a.best) ? b : a), fast[0] ?? fastest);
  told(best, "fast enough");
  return best;
}
export async function ratiosToFloat(plain: Workbench, plans: readonly Searched[]): Promise<number[]> {
  const [floatMs, ...ms] = await timesOf(plain, [null, ...plans]);
  return ms.map((m) => m / floatMs!);
}

/** Layers go to four bits, those first that lose least per byte, until the file is small enough. */
export async function smallEnough(
  found: Searched,
  maxBytes: number,
  patience: Patience,
  told: Told,
): Promise<Searched> {
  const { bench, best } = found;
  if (best.sizeBytes <= maxBytes) return found;
  const ranked = await byDamagePerByte(bench, best, patience);
  const smaller = (count: number): Attempt =>
    changed(best.attempt, new Map(ranked.slice(0, count).map((key) => [key, fourBits])));
  const count = await fewest(ranked.length, async (n) => (await bench.sizeOf(smaller(n))) <= maxBytes);
  const small = { bench, best: await bench.judge(smaller(count)) };
  told(small, "layers in four bits");
  return small;
}
const fourBits: Choice = {
  format: "weights4",
  reason: "its weights are stored in four bits so that the file is small enough",
};

async function byDamagePerByte(bench: Workbench, best: Judged, patience: Patience): Promise<string[]> {
  const wiring = wiringOf(bench.net);
  const found: { readonly key: string; readonly damage: number; readonly size: number }[] = [];
  for (const at of wiring.nodes) {
    const c = bench.candidates.find(({ key }) => key === at.key);
    const format = best.attempt.choices.get(at.key)?.format;
    if (!c?.formats.includes("weights4") || format === undefined || format === "weights4") continue;
    let [size, noise, power] = [0, 0, 0];
    for (const i of c.weights) {
      const constant = wiring.constants.get(at.node.inputs[i]!);
      if (!constant) continue;
      const values = float32sOf(constant.tensor);
      const rounded = dequantizeTensor(nearestWeight(at, i, "weights4", wiring));
      size += values.length;
      values.forEach((v, k) => {
        noise += (v - rounded[k]!) ** 2;
        power += v * v;
      });
    }
    found.push({ key: at.key, size, damage: power > 0 ? noise / power : 0 });
  }
  const order = found.sort((a, b) => b.size - a.size);
  // Measured where there is time: what four bits of this layer alone add to the noise.
  const before = noiseOf(best);
  const measured: typeof found = [];
  for (const f of order) {
    if (!bench.reference || patience.over) break;
    const alone = await bench.judge(changed(best.attempt, new Map([[f.key, fourBits]])));
    measured.push({ ...f, damage: Math.max(0, noiseOf(alone) - before) });
  }
  const perByte = (a: (typeof found)[number]) => a.damage / a.size;
  const sorted = (list: typeof found) => list.sort((a, b) => perByte(a) - perByte(b)).map((f) => f.key);
  return [...sorted(measured), ...sorted(order.slice(measured.length))];
}
const noiseOf = (j: Judged): number => 10 ** (-db(j) / 10);

/**
 * Layers leave their formats for eight-bit weights, those first that lose most, until no more is lost than allowed; where all of them do not suffice, all
 * weights become half floats. Never beyond `maxBytes`. The more may be lost, the fewer layers leave; what loses too much comes back only where nothing
 * loses less.
 */
export async function accurateEnough(found: Searched, { maxDrop, maxBytes }: Limits, told: Told): Promise<Searched> {
  const { bench, best } = found;
  const holds = (j: Judged): boolean => (dropOf(j) ?? 0) <= maxDrop!;
  if (holds(best)) return found;
  const relieved = (await suspected(bench, best, ["int8", "int16", "dynamic", "weights4"])).map(({ c }) => c.key);
  const candidates = new Map(bench.candidates.map((c) => [c.key, c]));
  const low = (key: string): boolean =>
    !["float", "weights8", "float16"].includes(best.attempt.choices.get(key)!.format);
  const others = [...best.attempt.choices.keys()].filter((key) => low(key) && !relieved.includes(key));
  const start: Attempt = { choices: new Map(), ranges: best.attempt.ranges };
  const without = (count: number): Attempt => {
    const all = count > relieved.length;
    const leaving = all ? [...relieved, ...others] : relieved.slice(0, count);
    const reason = "otherwise more would be lost than is allowed";
    const choices = new Map(leaving.map((key) => [key, stored(candidates.get(key)!, reason)]));
    // Biases make up for what integers shift: without any they would shift themselves.
    return all ? { ...start, choices: new Map([...best.attempt.choices, ...choices]) } : changed(best.attempt, choices);
  };
  let nearest = best;
  const fits = (j: Judged): boolean => maxBytes === undefined || j.sizeBytes <= Math.max(maxBytes, best.sizeBytes);
  await fewest(relieved.length + 1, async (n) => {
    const judged = await bench.judge(without(n));
    const closer = holds(judged) || (!holds(nearest) && dropOf(judged)! <= dropOf(nearest)!);
    if (fits(judged) && closer) {
      nearest = judged;
      told({ bench, best: judged }, "layers leave integers");
    }
    return holds(judged);
  });
  if (!holds(nearest)) {
    const halves = await bench.judge({ ...start, choices: uniformChoices(bench.candidates, "float16") });
    if (fits(halves) && dropOf(halves)! <= dropOf(nearest)!) {
      nearest = halves;
      told({ bench, best: halves }, "half floats");
    }
  }
  return { bench, best: nearest };
}

/** The least of 0..most for which `enough` is true, which it is for all above it; `most` where it is for none. */
async function fewest(most: number, enough: (n: number) => Promise<boolean>): Promise<number> {
  let [low, high] = [0, most];
  if (!(await enough(most))) return most;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await enough(middle)) high = middle;
    else low = middle + 1;
  }
  return high;
}

/** The attempt with other choices for some layers, whose codes are the nearest again. */
function changed(attempt: Attempt, choices: ReadonlyMap<string, Choice>): Attempt {
  const weights = new Map([...(attempt.weights ?? [])].filter(([key]) => !choices.has(key)));
  return { ...attempt, choices: new Map([...attempt.choices, ...choices]), weights };
}
