/** AdaRound on layers of real networks in 4 bits, with what they really read: closer to the float outputs than the nearest codes, on samples that it has not seen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { adaround, type LayerSample, type RoundedLayer } from "../dist/methods/quantize/adaround.js";
import { dequantizeTensor, quantizeTensor, weightGrid } from "../dist/quantization/grid.js";
import type { QuantizedTensor } from "../dist/quantization/plan.js";
import { simplify } from "../dist/simplify.js";
import { expose } from "./support/expose.js";
import { photographs } from "./support/layer-inputs.js";
import { needsShared, sharedData } from "./support/shared.js";

/** The k-th convolution, with the ReLU behind it where that is its only reader. */
function layerOf(graph: Graph, k: number): RoundedLayer & { readonly reads: string; readonly gives: string } {
  const node = graph.nodes.filter((n) => n.op === "Conv")[k]!;
  const readers = graph.nodes.filter((n) => n.inputs.includes(node.outputs[0]!));
  const activation = readers.length === 1 && readers[0]!.op === "Relu" ? readers[0]! : null;
  const names = node.inputs.filter((name) => graph.initializers.has(name));
  const constants = new Map(names.map((name) => [name, graph.initializers.get(name)!]));
  const gives = (activation ?? node).outputs[0]!;
  return { node, constants, weight: 1, reads: node.inputs[0]!, gives, ...(activation ? { activation } : {}) };
}
async function samplesOf(
  graph: Graph,
  names: readonly [string, string],
  feeds: readonly NDArray[],
): Promise<LayerSample[]> {
  const session = await ortNode.load(expose(graph, (name) => names.includes(name)));
  const copy = (a: NDArray): NDArray => ({ ...a, data: (a.data as Float32Array).slice() });
  const samples: LayerSample[] = [];
  for (const x of feeds) {
    const found = await session.run({ [graph.inputs[0]!.name]: x }, names);
    samples.push({ x: copy(found[names[0]]!), y: copy(found[names[1]]!) });
  }
  await session.release();
  return samples;
}
/** Output energy over that of the error, in dB. */
async function snrDb(
  graph: Graph,
  layer: ReturnType<typeof layerOf>,
  q: QuantizedTensor,
  samples: readonly LayerSample[],
): Promise<number> {
  const d = draft(graph);
  d.initializers.set(layer.node.inputs[1]!, floats(dequantizeTensor(q), q.dims));
  d.nodes = layer.activation ? [layer.node, layer.activation] : [layer.node];
  d.inputs = [{ name: layer.reads, type: "float32", shape: samples[0]!.x.dims }];
  d.outputs = [{ name: layer.gives, type: "float32", shape: null }];
  const session = await ortNode.load(d);
  let [signal, noise] = [0, 0];
  for (const { x, y } of samples) {
    const found = (await session.run({ [layer.reads]: x }))[layer.gives]!.data as Float32Array;
    (y.data as Float32Array).forEach((v, i) => {
      signal += v * v;
      noise += (v - found[i]!) ** 2;
    });
  }
  await session.release();
  return 10 * Math.log10(signal / noise);
}

const digits = (photo: Float32Array): NDArray => {
  const grey = Float32Array.from({ length: 784 }, (_, i) =>
    Math.max(0, photo[(2 + Math.floor(i / 28)) * 32 + 2 + (i % 28)]!),
  );
  return { type: "float32", dims: [1, 1, 28, 28], data: grey };
};
const coloured = (photo: Float32Array): NDArray => ({
  type: "float32",
  dims: [1, 3, 32, 32],
  data: photo.map((p) => 2 * p),
});

for (const [name, k, feed] of [
  ["resnet20-cifar", 17, coloured],
  ["resnet20-cifar", 14, coloured],
  ["mnist8_cntk", 1, digits],
] as const)
  test(`better than nearest in 4 bits: convolution ${k} of ${name}`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const { graph } = await simplify(await read(`${sharedData}models/${name}.onnx`), { engine: ortNode, opset: 21 });
    const layer = layerOf(graph, k);
    const samples = await samplesOf(graph, [layer.reads, layer.gives], photographs(48).map(feed));
    const [seen, unseen] = [samples.slice(0, 36), samples.slice(36)];
    const weight = graph.initializers.get(layer.node.inputs[1]!)!;
    const values = float32sOf(weight);
    const grid = weightGrid(values, weight.dims, { type: "int4", axis: 0 });
    const nearest = quantizeTensor(values, weight.dims, grid);
    const options = { engine: ortNode, steps: 120, batch: 4, rate: 0.1 };
    const learned = await adaround(layer, grid, seen, options);
    const far = learned.codes.some(
      (c, i) => Math.abs(c - values[i]! / grid.scale[Math.floor((i * grid.scale.length) / values.length)]!) > 1 + 1e-5,
    );
    assert.ok(!far, "every weight is rounded to one of its two neighbours");
    const [before, after] = [await snrDb(graph, layer, nearest, unseen), await snrDb(graph, layer, learned, unseen)];
    t.diagnostic(
      `[${weight.dims}] ${layer.activation ? "with ReLU" : ""}: nearest ${before.toFixed(2)} dB, learned ${after.toFixed(2)} dB`,
    );
    assert.ok(after > before + 0.3);
    if (name === "mnist8_cntk") assert.deepEqual((await adaround(layer, grid, seen, options)).codes, learned.codes);
  });

test("refuses what it cannot learn from", async () => {
  const array = (dims: readonly number[]): NDArray => ({
    type: "float32",
    dims,
    data: new Float32Array(dims.reduce((a, b) => a * b, 1)),
  });
  const node = { op: "MatMul", domain: "", name: "m", inputs: ["x", "w"], outputs: ["y"], attributes: {} };
  const weight = floats([1, 2, 3, 4], [2, 2]);
  const layer = { node, constants: new Map([["w", weight]]), weight: 1 };
  const grid = weightGrid(float32sOf(weight), [2, 2]);
  await assert.rejects(adaround(layer, grid, [], { engine: ortNode }), /MatMul "y": there are no samples/);
  const two = [1, 3].map((n) => ({ x: array([n, 2]), y: array([n, 2]) }));
  await assert.rejects(adaround(layer, grid, two, { engine: ortNode }), /one shape, got \[1,2\] and \[3,2\]/);
});
