/** Bias correction on ResNet-20 in 8 bits: channels get the means they have in float, and the outputs come closer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { calibrate } from "../dist/calibrate/calibrate.js";
import { rangeOf } from "../dist/calibrate/ranges.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { correctBiases } from "../dist/methods/quantize/bias-correction.js";
import { applyPlan } from "../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { gridOf } from "../dist/quantization/grid.js";
import { valuesToCalibrate } from "../dist/quantization/place.js";
import type { LayerPlan } from "../dist/quantization/plan.js";
import { simplify } from "../dist/simplify.js";
import { photographs } from "./support/layer-inputs.js";
import { needsShared, sharedData } from "./support/shared.js";

function samplesOf(input: string, count: number): Samples {
  // As the network was trained: pixels of mean 0 and deviation 1, nearly.
  const photos = photographs(count).map((photo) => photo.map((p) => 2 * p));
  const feeds = (i: number) => ({ [input]: { type: "float32" as const, dims: [1, 3, 32, 32], data: photos[i]! } });
  return { name: "photographs", length: count, label: () => null, feeds, batch: () => null };
}

async function quantizer(graph: Graph, samples: Samples) {
  const layer: LayerPlan = { format: "int8", reason: "", weights: new Map() };
  const nodes = eligibleNodes(graph, "ort-node").filter((c) => c.formats.includes("int8"));
  const layers = new Map(nodes.map((c) => [c.key, layer]));
  const wanted = new Map([...valuesToCalibrate(graph, layers)].map((name) => [name, {}]));
  const statistics = await calibrate(graph, wanted, samples, { engine: ortNode });
  const grid = (s: Parameters<typeof rangeOf>[0]) => gridOf(rangeOf(s, "min-max", { bits: 8 }), "uint8");
  const activations = new Map([...statistics].map(([name, s]) => [name, grid(s)]));
  const quantize = (g: Graph) => applyPlan(g, { layers, activations }, { target: "ort-node", reduced: true }).graph;
  return { layers: [...layers.keys()], quantize };
}

test("every channel of every convolution has its mean again", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const { graph } = await simplify(await read(`${sharedData}models/resnet20-cifar.onnx`), {
    engine: ortNode,
    opset: 21,
  });
  const samples = samplesOf(graph.inputs[0]!.name, 48);
  const { layers, quantize } = await quantizer(graph, samples);
  const convolutions = graph.nodes.filter((n) => n.op === "Conv").map((n) => n.outputs[0]!);
  const wanted = new Map(convolutions.map((name) => [name, { channels: 1 }]));
  const float = await calibrate(graph, wanted, samples, { engine: ortNode });
  /** Root of the mean square, over all channels, of the error of the mean relative to the layer's deviation. */
  const off = async (g: Graph): Promise<number> => {
    const found = await calibrate(quantize(g), wanted, samples, { engine: ortNode });
    const each = [...float].map(([name, s]) => {
      const { mean, power } = s.channels!;
      const now = found.get(name)!.channels!.mean;
      const variance = power.reduce((sum, p, c) => sum + p - mean[c]! ** 2, 0);
      return mean.reduce((sum, m, c) => sum + (now[c]! - m) ** 2, 0) / variance;
    });
    return Math.sqrt(each.reduce((a, b) => a + b, 0) / each.length);
  };
  const before = [...graph.initializers.values()];
  const corrected = await correctBiases(graph, layers, quantize, samples, { engine: ortNode });
  assert.deepEqual([...graph.initializers.values()], before, "the graph that came in is as it was");
  assert.equal(corrected.layers.length, convolutions.length + 1);
  const [nearest, after] = [await off(graph), await off(corrected.graph)];
  t.diagnostic(`means off by ${nearest.toExponential(1)} of the deviation, corrected ${after.toExponential(1)}`);
  assert.ok(after < nearest / 3);
  const again = await correctBiases(graph, layers, quantize, samples, { engine: ortNode });
  assert.deepEqual(
    [...again.graph.initializers.values()].map((x) => x.bytes),
    [...corrected.graph.initializers.values()].map((x) => x.bytes),
  );
});
