/** Plans for tests: every candidate that can take a format takes it; ranges come from a few random runs. */
import type { NDArray } from "../../dist/engine/engine.js";
import { ortNode } from "../../dist/engine/ort-node.js";
import { draft, type Graph } from "../../dist/graph/graph.js";
import { dropInitializerInputs } from "../../dist/passes/drop-initializer-inputs.js";
import { liftConstants } from "../../dist/passes/lift-constants.js";
import { raiseOpset } from "../../dist/passes/raise-opset.js";
import { type Candidate, eligibleNodes } from "../../dist/quantization/eligible.js";
import { gridOf } from "../../dist/quantization/grid.js";
import { valuesToCalibrate } from "../../dist/quantization/place.js";
import type { CodeType, Format, LayerPlan, Plan, Target } from "../../dist/quantization/plan.js";

/** Weights as initialisers at opset 21: what quantization asks of a graph, without what else `simplify` does. */
export const prepared = (graph: Graph): Graph => raiseOpset(dropInitializerInputs(liftConstants(graph)));

/** Layers of one format, or of what `format` says of each candidate. */
export function layersOf(
  graph: Graph,
  format: Format | ((c: Candidate) => Format),
  target: Target = "ort-node",
): Map<string, LayerPlan> {
  const layers = new Map<string, LayerPlan>();
  for (const c of eligibleNodes(graph, target)) {
    const wanted = typeof format === "function" ? format(c) : format;
    if (c.formats.includes(wanted)) layers.set(c.key, { format: wanted, reason: "", weights: new Map() });
  }
  return layers;
}

/** Extremes of values of the main graph over some runs; values inside bodies are taken to lie in -4..4. */
export async function rangesOf(
  graph: Graph,
  wanted: ReadonlySet<string>,
  runs: readonly Readonly<Record<string, NDArray>>[],
): Promise<Map<string, [number, number]>> {
  const made = new Set(graph.nodes.flatMap((n) => n.outputs));
  const exposed = draft(graph);
  for (const name of wanted)
    if (made.has(name) && !graph.outputs.some((v) => v.name === name))
      exposed.outputs.push({ name, type: "undefined", shape: null });
  const ranges = new Map<string, [number, number]>();
  const session = await ortNode.load(exposed, { optimize: "none" });
  for (const feeds of runs) {
    const values = { ...feeds, ...(await session.run(feeds)) };
    for (const name of wanted) {
      const range = ranges.get(name) ?? [0, 0];
      for (const v of (values[name]?.data ?? [-4, 4]) as Float32Array) {
        range[0] = Math.min(range[0], v);
        range[1] = Math.max(range[1], v);
      }
      ranges.set(name, range);
    }
  }
  await session.release();
  return ranges;
}

export async function planOf(
  graph: Graph,
  format: Parameters<typeof layersOf>[1],
  runs: readonly Readonly<Record<string, NDArray>>[],
  { target = "ort-node", activations = "uint8" }: { target?: Target; activations?: CodeType } = {},
): Promise<Plan> {
  const layers = layersOf(graph, format, target);
  const ranges = await rangesOf(graph, valuesToCalibrate(graph, layers), runs);
  return { layers, activations: new Map([...ranges].map(([name, range]) => [name, gridOf(range, activations)])) };
}

/** All outputs of one run, one after the other. */
export async function outputsOf(
  graph: Graph,
  feeds: Readonly<Record<string, NDArray>>,
  optimize: "all" | "none" = "all",
): Promise<Float64Array> {
  const session = await ortNode.load(graph, { optimize });
  try {
    const outputs = await session.run(feeds);
    return Float64Array.from(graph.outputs.flatMap((v) => Array.from(outputs[v.name]!.data as Float32Array, Number)));
  } finally {
    await session.release();
  }
}

/** Signal to noise in decibels: 10 log10 of the sum of squares over that of the differences. */
export function decibels(wanted: Float64Array, got: Float64Array): number {
  let [signal, noise] = [0, 0];
  wanted.forEach((v, i) => {
    signal += v * v;
    noise += (v - got[i]!) ** 2;
  });
  return 10 * Math.log10(signal / noise);
}
