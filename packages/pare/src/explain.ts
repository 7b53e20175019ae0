/** THE MAIN PATH of `pare explain`. A model, what it became by quantization and samples enter; which layers lose the most, why, what to do, and what keeps it from being faster leave. */
import { z } from "zod";
import { infer } from "./analyze/infer.js";
import { calibrate } from "./calibrate/calibrate.js";
import type { Statistics } from "./calibrate/statistics.js";
import { compare } from "./compare.js";
import { chosenOf, type Samples } from "./data/samples.js";
import { defaultEngine } from "./engine/default-engine.js";
import type { Engine } from "./engine/engine.js";
import { type Cause, causeOfValue, causeOfWeight, causes } from "./explain/causes.js";
import { damageOf, withSwitches } from "./explain/damage.js";
import { type RoundedValue, type Site, type Sites, sitesOf, switched } from "./explain/sites.js";
import { speedOf } from "./explain/speed.js";
import { PareError } from "./graph/error.js";
import type { Graph } from "./graph/graph.js";
import { float32sOf } from "./graph/tensor.js";
import { equalize } from "./methods/quantize/equalize.js";
import { widenFloat16 } from "./passes/widen-float16.js";
import { eligibleNodes } from "./quantization/eligible.js";
import type { Target } from "./quantization/plan.js";
import { reducedRange } from "./quantization/reduced-range.js";
import { finestLayout } from "./quantization/weight-axis.js";
import type { Placed } from "./quantization/wiring.js";
import { simplify } from "./simplify.js";

/** The schema of `pare explain --json`. Shares are 0..1; snrDb null: not measured, or nothing differs. */
export const explanation = z.object({
  samples: z.number().int().positive(),
  snrDb: z.number().nullable(),
  layers: z.array(
    z.object({
      name: z.string(),
      op: z.string(),
      what: z.enum(["output", "weights", "kernel"]),
      snrDb: z.number().nullable(),
      share: z.number(),
      cause: z.enum(causes),
      why: z.string(),
      fix: z.string(),
    }),
  ),
  latencyMs: z.tuple([z.number(), z.number()]),
  integerShare: z.number(),
  conversionShare: z.number(),
  float: z.array(z.object({ op: z.string(), count: z.number().int(), share: z.number(), why: z.string() })),
});
export type Explanation = z.infer<typeof explanation>;

export interface ExplainOptions {
  readonly engine?: Engine;
  /** Where the quantized model runs; ort-node unless given. */
  readonly target?: Target;
  readonly signal?: AbortSignal;
  readonly onProgress?: (p: { readonly done: number; readonly of: number }) => void;
}

/** Places that rounding is measured at one by one, at most. */
const mostSites = 400;
const noise = (db: number | null): number => (db === null ? 0 : 10 ** (-db / 10));
const decibels = (ratio: number): number | null => (ratio > 0 ? -10 * Math.log10(ratio) : null);

/**
 * `layers`: the quantized network's layers, those first whose rounding alone brings the most noise to the outputs. Throws PareError where the
 * second model is not quantized, or one of them does not run on the samples or has no answer to one of them.
 */
export async function explain(
  float: Graph,
  quantized: Graph,
  samples: Samples,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const engine = options.engine ?? (await defaultEngine());
  const { sites, reference } = await matched(float, quantized, engine);
  if (sites.sites.length === 0)
    throw new PareError(
      "the second model rounds no value to a fixed grid: there is nothing to explain (pare compare says how alike the models are)",
    );
  const few = firsts(samples, 16);
  const overall = await compare(float, quantized, few, { engine, layers: false, labels: false });
  const graph = switched(quantized, sites.sites);
  const statistics = await statisticsOf(graph, sites, few, engine, options.signal);
  const expected = sites.sites.map((s) => expectedNoise(s, statistics));
  const order = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]!).slice(0, mostSites);
  const outputs = float.outputs.map((v) => v.name);
  const damage = await damageOf(graph, few, { ...options, engine, outputs, order });
  const layers = layersOf(sites, damage.alone, statistics);
  const real = noise(overall.snrDb);
  if (real > 4 * damage.together && real > 1e-4) {
    const byRuntime = floatBetweenCodes(sites);
    if (byRuntime) layers.unshift(weightsByRuntime(byRuntime, real));
    else if ((await reducedRange(engine)).reduced) layers.unshift(saturated(real, damage.together));
  }
  const candidates = eligibleNodes(reference, options.target ?? "ort-node");
  const speed = await speedOf([float, quantized], few.feeds(0), engine, sites, candidates);
  return {
    samples: few.length,
    snrDb: overall.snrDb,
    layers,
    ...speed,
    latencyMs: [...speed.latencyMs],
    float: [...speed.float],
  };
}

/** The form of the float network that the quantized one was made of: simplified, with channels equalised, or as it came. */
async function matched(float: Graph, quantized: Graph, engine: Engine): Promise<{ sites: Sites; reference: Graph }> {
  const { graph: simple } = await simplify(widenFloat16(float), { engine, opset: "newest" });
  const forms = [simple, orNull(() => equalize(simple)), float].filter((g) => g !== null);
  const all: { sites: Sites; reference: Graph }[] = [];
  for (const reference of forms) all.push({ sites: await sitesOf(quantized, reference, engine), reference });
  const best = all.reduce((a, b) => (b.sites.likenessDb > a.sites.likenessDb + 1e-6 ? b : a));
  return best;
}
function orNull(make: () => Graph): Graph | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof PareError) return null;
    throw error;
  }
}

/** Some samples, evenly spread. */
function firsts(samples: Samples, limit: number): Samples {
  const length = Math.min(limit, samples.length);
  return chosenOf(
    samples,
    Array.from({ length }, (_, k) => Math.floor((k * samples.length) / length)),
  );
}

/** What the values are like in float. */
async function statisticsOf(
  { graph, switches }: ReturnType<typeof switched>,
  { sites, wiring }: Sites,
  samples: Samples,
  engine: Engine,
  signal: AbortSignal | undefined,
): Promise<Map<string, Statistics>> {
  const types = infer(graph).types;
  const wanted = new Map<string, { histogram: number; channels?: number }>();
  for (const s of sites) {
    if (s.kind !== "value" || wanted.has(s.raw)) continue;
    const shape = types.get(s.raw)?.shape ?? null;
    const last = s.layer?.node.op === "MatMul" || readsRows(wiring, s);
    const axis = shape && shape.length > 1 ? (last ? shape.length - 1 : 1) : -1;
    const channels = axis >= 0 && typeof shape![axis] === "number" ? { channels: axis } : {};
    wanted.set(s.raw, { histogram: 2048, ...channels });
  }
  return calibrate(graph, wanted, withSwitches(samples, switches), { engine, ...(signal ? { signal } : {}) });
}
const readsRows = (wiring: Wiring, s: RoundedValue): boolean =>
  (wiring.readers.get(s.rounded) ?? []).some((r) => r.at.node.op === "MatMul" && r.input === 0);
type Wiring = Sites["wiring"];

/** Noise to signal where it arises, as the grid and the weights foretell it: what is measured first. */
function expectedNoise(site: Site, statistics: ReadonlyMap<string, Statistics>): number {
  if (site.kind === "value") {
    const s = statistics.get(site.raw);
    if (!s || s.power === 0) return 0;
    const beyond = Math.max(0, s.max - site.high, site.low - s.min);
    return (site.scale ** 2 / 12 + beyond ** 2) / s.power;
  }
  let [signal, lost] = [0, 0];
  for (const { float, stored } of site.parts) {
    const [a, b] = [float32sOf(float), float32sOf(stored)];
    for (let i = 0; i < a.length; i++) {
      signal += a[i]! ** 2;
      lost += (a[i]! - b[i]!) ** 2;
    }
  }
  return signal > 0 ? lost / signal : 0;
}

/** One entry per layer: the worse of its output and its weights, those that lose most first. */
function layersOf(
  { sites, wiring }: Sites,
  alone: readonly (number | null)[],
  statistics: ReadonlyMap<string, Statistics>,
): Explanation["layers"] {
  const grids = new Map(sites.flatMap((s) => (s.kind === "value" ? [[s.rounded, s] as const] : [])));
  const around = { wiring, grids, statisticsOf: (name: string) => statistics.get(name) };
  const total = alone.reduce<number>((sum, n) => sum + (n ?? 0), 0) || 1;
  const worst = new Map<string, { site: Site; by: number | null; sum: number }>();
  sites.forEach((site, i) => {
    const key = site.layer?.key ?? (site.kind === "value" ? site.raw : "");
    const by = alone[i]!;
    const known = worst.get(key);
    const sum = (known?.sum ?? 0) + (by ?? 0);
    worst.set(key, known && (known.by ?? 0) >= (by ?? 0) ? { ...known, sum } : { site, by, sum });
  });
  return [...worst]
    .sort(([, a], [, b]) => b.sum - a.sum)
    .flatMap(([key, { site, by, sum }]) => {
      const cause = causeOf(site, around);
      if (!cause) return [];
      return [
        {
          name: site.layer?.node.name || shown(key, site),
          op: site.layer?.node.op ?? "input",
          what: site.kind === "value" ? ("output" as const) : ("weights" as const),
          snrDb: by === null ? null : decibels(sum),
          share: sum / total,
          ...cause,
        },
      ];
    });
}
const shown = (key: string, site: Site): string =>
  site.kind === "value" && site.layer?.key === site.raw ? site.rounded : key;

function causeOf(site: Site, around: Parameters<typeof causeOfValue>[2]): Cause | null {
  if (site.kind === "value") {
    const s = around.statisticsOf(site.raw);
    return s ? causeOfValue(site, s, around) : null;
  }
  const at = around.wiring.siteOf(site.layer);
  return causeOfWeight(site, (part) => (at && finestLayout(at, part.input).axis) ?? 0);
}

/** A Conv or Gemm with float weights that reads codes and whose output alone becomes codes: onnxruntime gives such weights one 8-bit scale. */
function floatBetweenCodes({ wiring, sites }: Sites): Placed | null {
  const rounded = new Map(sites.flatMap((s) => (s.kind === "value" ? [[s.rounded, s] as const] : [])));
  const becomesCodes = (value: string): boolean => {
    const [only, ...more] = wiring.readers.get(value) ?? [];
    if (!only || more.length > 0 || wiring.leaving.has(value)) return false;
    const { op, outputs } = only.at.node;
    return op === "QuantizeLinear" || ((op === "Relu" || op === "Clip") && becomesCodes(outputs[0]!));
  };
  const isConstant = (name: string): boolean => {
    if (wiring.constants.has(name)) return true;
    const maker = wiring.producer.get(name)?.node;
    return maker !== undefined && maker.op !== "DequantizeLinear" && maker.inputs.every(isConstant);
  };
  const found = wiring.nodes.find(
    ({ key, node }) =>
      (node.op === "Conv" || node.op === "Gemm" || node.op === "ConvTranspose") &&
      rounded.has(node.inputs[0]!) &&
      isConstant(node.inputs[1]!) &&
      becomesCodes(key),
  );
  return found ?? null;
}
const weightsByRuntime = ({ node, key }: Placed, real: number): Explanation["layers"][number] => ({
  name: node.name || key,
  op: node.op,
  what: "kernel",
  snrDb: decibels(real),
  share: 1,
  cause: "weights rounded by onnxruntime",
  why: `its weights are float in the file, but it stands between DequantizeLinear and QuantizeLinear: onnxruntime rounds such weights to eight bits itself, with one scale for all of them`,
  fix: "store its weights in eight bits or float16 with scales of their own, or leave its input or output unrounded",
});

const saturated = (real: number, simulated: number): Explanation["layers"][number] => ({
  name: "(the whole model)",
  op: "",
  what: "kernel",
  snrDb: decibels(real),
  share: 1,
  cause: "saturation",
  why: `on integers the outputs have ${(10 * Math.log10(real / Math.max(simulated, 1e-12))).toFixed(0)} dB more noise than the same roundings computed in float: sums of products overflow in this processor's 16-bit additions`,
  fix: "quantize on this machine with pare quantize, which keeps weights to seven bits here, or run it on a processor with VNNI",
});
