/** Real samples and a plain 8-bit plan: a graph and samples come in, the way to quantize it (and its likes) goes out. */
import { calibrate } from "../../dist/calibrate/calibrate.js";
import { rangeOf } from "../../dist/calibrate/ranges.js";
import type { Samples } from "../../dist/data/samples.js";
import { ortNode } from "../../dist/engine/ort-node.js";
import type { Graph } from "../../dist/graph/graph.js";
import { applyPlan } from "../../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../../dist/quantization/eligible.js";
import { gridOf } from "../../dist/quantization/grid.js";
import { valuesToCalibrate } from "../../dist/quantization/place.js";
import type { LayerPlan } from "../../dist/quantization/plan.js";
import { photographs } from "./layer-inputs.js";

/** Photographs as samples for a model of one image input. */
export function photographSamples(input: string, count: number): Samples {
  // As the network was trained: pixels of mean 0 and deviation 1, nearly.
  const photos = photographs(count).map((photo) => photo.map((p) => 2 * p));
  const feeds = (i: number) => ({ [input]: { type: "float32" as const, dims: [1, 3, 32, 32], data: photos[i]! } });
  return { name: "photographs", length: count, label: () => null, feeds, batch: () => null };
}

/** Every contraction that can be int8 is, or every node that can, on min-max ranges; weights keep to seven bits, so that no processor overflows. */
export async function quantizer(graph: Graph, samples: Samples, which: "all" | "weights" = "all") {
  const layer: LayerPlan = { format: "int8", reason: "", weights: new Map() };
  const nodes = eligibleNodes(graph, "ort-node").filter(
    (c) => c.formats.includes("int8") && (which === "all" || c.role === "weights"),
  );
  const layers = new Map(nodes.map((c) => [c.key, layer]));
  const wanted = new Map([...valuesToCalibrate(graph, layers)].map((name) => [name, {}]));
  const statistics = await calibrate(graph, wanted, samples, { engine: ortNode });
  const grid = (s: Parameters<typeof rangeOf>[0]) => gridOf(rangeOf(s, "min-max", { bits: 8 }), "uint8");
  const activations = new Map([...statistics].map(([name, s]) => [name, grid(s)]));
  const quantize = (g: Graph) => applyPlan(g, { layers, activations }, { target: "ort-node", reduced: true });
  return { layers: [...layers.keys()], quantize };
}

/** Energy of the float outputs over that of the error, in dB, over all samples and outputs. */
export async function outputsSnrDb(float: Graph, found: Graph, samples: Samples): Promise<number> {
  const [a, b] = [await ortNode.load(float), await ortNode.load(found)];
  let [signal, noise] = [0, 0];
  for (let i = 0; i < samples.length; i++) {
    const [x, y] = [await a.run(samples.feeds(i)), await b.run(samples.feeds(i))];
    for (const [name, { data }] of Object.entries(x))
      (data as Float32Array).forEach((v, k) => {
        signal += v * v;
        noise += (v - (y[name]!.data as Float32Array)[k]!) ** 2;
      });
  }
  await a.release();
  await b.release();
  return 10 * Math.log10(signal / noise);
}
