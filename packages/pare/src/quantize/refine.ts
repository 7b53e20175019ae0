/** A plan that stands enters; better codes for its weights and biases that make up for what rounding shifts leave, as far as the samples say that they help. */
import { type Moments, secondMoments } from "../calibrate/moments.js";
import type { Samples } from "../data/samples.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { correctBiases } from "../methods/quantize/bias-correction.js";
import { type GptqOptions, gptq } from "../methods/quantize/gptq.js";
import { hqq } from "../methods/quantize/hqq.js";
import { recordOf } from "../ops/registry.js";
import { weightGrid } from "../quantization/grid.js";
import type { CodeType, Format, Grid, QuantizedTensor } from "../quantization/plan.js";
import { gridOfWeight } from "../quantization/weight-grid.js";
import { type Placed, type Wiring, wiringOf } from "../quantization/wiring.js";
import type { Patience } from "./patience.js";
import { better, type Searched } from "./search.js";
import type { Attempt, Judged, Workbench } from "./workbench.js";

/** What codes and biases must gain, in dB: less is chance. */
const leastGainDb = 0.05;
/** Samples whose second moments are taken, and samples that biases are corrected by. */
const momentSamples = 32;
const biasSamples = 32;
/** The factorisation takes the cube of the number of inputs in time. */
const mostInputs = 1200;
/** Rows of second moments for so many inputs. */
const enoughRows = (inputs: number): number => Math.max(2 ** 13, 8 * inputs);
/** Of second moments at once. */
const momentBytes = 2 ** 25;

type Codes = Map<string, ReadonlyMap<number, QuantizedTensor>>;

/** GPTQ, then bias correction; each is kept where it is better by the samples that are judged. Ends early where patience does. */
export async function refine(
  { bench, best: start }: Searched,
  patience: Patience,
  told: (found: Searched, what: string) => void,
  allowed: (tried: Judged) => boolean = () => true,
): Promise<Searched> {
  if (!bench.reference) return { bench, best: start };
  let best = await fourBits(bench, start, patience, allowed);
  const keep = (tried: Judged, what: string): void => {
    if (!better(tried, best, leastGainDb) || !allowed(tried)) return;
    best = tried;
    told({ bench, best }, what);
  };
  if (best === start) {
    const weights = await compensated(bench, best.attempt, patience, (at) => gridFor(bench, best.attempt, at));
    if (weights.size > 0)
      keep(
        await bench.judge({ ...best.attempt, weights, rounding: `gptq ${weights.size}` }),
        "codes that make up for one another",
      );
  } else told({ bench, best }, "4-bit codes");
  if (!patience.over) keep(await bench.judge(await corrected(bench, best.attempt)), "biases");
  return { bench, best };
}

/** Codes of 4 bits by GPTQ, on symmetric blocks or on blocks with zero points: what is best of these and of the nearest codes. */
async function fourBits(
  bench: Workbench,
  start: Judged,
  patience: Patience,
  allowed: (tried: Judged) => boolean,
): Promise<Judged> {
  let best = start;
  if (![...start.attempt.choices.values()].some((c) => c.format === "weights4")) return best;
  for (const type of ["int4", "uint4"] as const) {
    const weights = await compensated(bench, start.attempt, patience, (at, values) =>
      formatOf(start.attempt, at) === "weights4" && type === "uint4"
        ? asymmetric(bench, at, values)
        : gridFor(bench, start.attempt, at),
    );
    const tried = await bench.judge({ ...start.attempt, weights, rounding: `gptq ${type} ${weights.size}` });
    if (better(tried, best, leastGainDb) && allowed(tried)) best = tried;
  }
  return best;
}
const formatOf = (attempt: Attempt, at: Placed): Format => attempt.choices.get(at.key)!.format;

function gridFor(bench: Workbench, attempt: Attempt, at: Placed): Grid {
  return gridOfWeight(at, 1, formatOf(attempt, at), wiringOf(bench.net), { reduced: bench.reduced });
}
/** Blocks with zero points of their own. */
function asymmetric(bench: Workbench, at: Placed, values: Float32Array): Grid {
  const wiring = wiringOf(bench.net);
  const { dims } = wiring.constants.get(at.node.inputs[1]!)!.tensor;
  const { axis, block } = gridOfWeight(at, 1, "weights4", wiring);
  const type: CodeType = "uint4";
  return hqq(values, dims, weightGrid(values, dims, { type, axis, block })).grid;
}

/** Codes by layer and input of all products whose second moments are known in time. */
async function compensated(
  bench: Workbench,
  attempt: Attempt,
  patience: Patience,
  gridOf: (at: Placed, values: Float32Array) => Grid,
): Promise<Codes> {
  const wiring = wiringOf(bench.net);
  const found: Codes = new Map();
  const samples = bench.reference!.others(patience.samples(momentSamples, bench.reference!.runMs));
  for (const some of inPortions(productsOf(bench.net, wiring, attempt))) {
    if (patience.over) break;
    const moments = await momentsOf(bench, some, samples);
    for (const { at, options } of some) {
      if (patience.over) break;
      const { tensor } = wiring.constants.get(at.node.inputs[1]!)!;
      const values = float32sOf(tensor);
      const products = moments.get(at.key)?.products;
      if (products) found.set(at.key, new Map([[1, gptq(values, tensor.dims, gridOf(at, values), products, options)]]));
    }
  }
  return found;
}
/** None where what the layers read is infinite, or of another size in each sample. */
async function momentsOf(
  bench: Workbench,
  products: readonly Product[],
  samples: Samples,
): Promise<ReadonlyMap<string, Moments>> {
  const keys = products.map(({ at }) => at.key);
  try {
    return await secondMoments(bench.net, keys, samples, {
      engine: bench.engine,
      enoughRows,
      ...(bench.signal ? { signal: bench.signal } : {}),
    });
  } catch (error) {
    if (error instanceof PareError) return new Map();
    throw error;
  }
}

interface Product {
  readonly at: Placed;
  readonly inputs: number;
  readonly options: GptqOptions;
}
/** Layers of the main graph with integer weights that no other node reads. */
function productsOf(net: Graph, wiring: Wiring, { choices }: Attempt): Product[] {
  const whole = ["float", "float16"];
  return wiring.nodes.flatMap((at): Product[] => {
    const choice = choices.get(at.key);
    const weight = wiring.constants.get(at.node.inputs[1] ?? "");
    const alone = wiring.readers.get(at.node.inputs[1] ?? "")?.length === 1;
    if (!choice || whole.includes(choice.format) || !weight || !alone || at.body !== net) return [];
    const site = wiring.siteOf(at);
    const as = site && recordOf(at.node)?.unroll?.(site, 1);
    if (!as || as.inputs > mostInputs) return [];
    return [{ at, inputs: as.inputs, options: { inputAxis: as.transposed ? 0 : 1, groups: as.groups } }];
  });
}
function inPortions(products: readonly Product[]): Product[][] {
  const portions: Product[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const p of products) {
    const bytes = 8 * p.inputs ** 2 * (p.options.groups ?? 1);
    if (held + bytes > momentBytes) {
      portions.push([]);
      held = 0;
    }
    portions.at(-1)!.push(p);
    held += bytes;
  }
  return portions;
}

/** The attempt with biases that give every channel of its layers the mean that it has in float. */
async function corrected(bench: Workbench, attempt: Attempt): Promise<Attempt> {
  const write = await bench.writer(attempt);
  const layers = [...attempt.choices].filter(([, { format }]) => format !== "float").map(([key]) => key);
  const samples = bench.reference!.others(biasSamples);
  const { graph } = await correctBiases(bench.net, layers, write, samples, {
    engine: bench.engine,
    ...(bench.signal ? { signal: bench.signal } : {}),
  });
  return { ...attempt, corrected: graph, rounding: `${attempt.rounding ?? "nearest"}, biases` };
}
