/** Bias correction on ResNet-20 in 8 bits: channels get the means they have in float, and the outputs come closer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withOutputs } from "../dist/calibrate/outputs.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { correctBiases } from "../dist/methods/quantize/bias-correction.js";
import { simplify } from "../dist/simplify.js";
import { photographSamples, quantizer } from "./support/int8.js";
import { needsShared, sharedData } from "./support/shared.js";

/** Mean and mean square of each channel of values [1, channels, height, width]. */
async function channelMoments(graph: Graph, names: readonly string[], samples: Samples) {
  const session = await ortNode.load(withOutputs(graph, names));
  const moments = new Map<string, { mean: Float64Array; power: Float64Array }>();
  for (let i = 0; i < samples.length; i++)
    for (const [name, { data, dims }] of Object.entries(await session.run(samples.feeds(i)))) {
      const channels = dims[1]!;
      const each = data.length / channels;
      const m = moments.get(name) ?? { mean: new Float64Array(channels), power: new Float64Array(channels) };
      (data as Float32Array).forEach((x, k) => {
        m.mean[Math.floor(k / each)]! += x / each / samples.length;
        m.power[Math.floor(k / each)]! += x ** 2 / each / samples.length;
      });
      moments.set(name, m);
    }
  await session.release();
  return moments;
}

test("every channel of every convolution has its mean again", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const { graph } = await simplify(await read(`${sharedData}models/resnet20-cifar.onnx`), {
    engine: ortNode,
    opset: 21,
  });
  const samples = photographSamples(graph.inputs[0]!.name, 48);
  const { layers, quantize } = await quantizer(graph, samples);
  const convolutions = graph.nodes.filter((n) => n.op === "Conv").map((n) => n.outputs[0]!);
  const float = await channelMoments(graph, convolutions, samples);
  /** Root of the mean square, over all channels, of the error of the mean relative to the layer's deviation. */
  const off = async (g: Graph): Promise<number> => {
    const found = await channelMoments(quantize(g), convolutions, samples);
    const each = [...float].map(([name, { mean, power }]) => {
      const now = found.get(name)!.mean;
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
