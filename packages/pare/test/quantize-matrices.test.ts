/** GPTQ and HQQ on the matrices of a transformer and of a text recogniser, with what these really multiply. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { secondMoments } from "../dist/calibrate/moments.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { gptq } from "../dist/methods/quantize/gptq.js";
import { hqq } from "../dist/methods/quantize/hqq.js";
import { liftConstants } from "../dist/passes/lift-constants.js";
import { dequantizeTensor, quantizeTensor, weightGrid } from "../dist/quantization/grid.js";
import { simplify } from "../dist/simplify.js";
import { randomFrom } from "./support/expose.js";
import {
  addMoments,
  type MatrixLayer,
  matrixLayers,
  outputSnrDb,
  photographs,
  stretched,
} from "./support/layer-inputs.js";
import { packagedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";

async function transformer(): Promise<MatrixLayer[]> {
  const graph = liftConstants(await read(`${sharedData}models/cct_opset20_untrained.onnx`));
  const feeds = photographs(12).map((data) => ({ input: { type: "float32" as const, dims: [1, 3, 32, 32], data } }));
  const layers = await matrixLayers(graph, feeds);
  // What a single column gains or loses is luck.
  return layers.filter((l) => l.dims[1]! > 1);
}
async function recogniser(): Promise<MatrixLayer[]> {
  const model = packagedModels().find((m) => m.name.includes("rec_infer"))!;
  const graph = liftConstants(await read(model.path));
  const feeds = photographs(6).map((photo) => ({
    x: { type: "float32" as const, dims: [1, 3, 48, 160], data: stretched(photo, 48, 160) },
  }));
  const layers = await matrixLayers(graph, feeds);
  // The last one is 50 times the others, and like them.
  return layers.filter((l) => l.dims[1]! < 1000);
}
const norm = (layer: MatrixLayer, found: Float32Array): number =>
  layer.weight.reduce((sum, w, i) => sum + Math.abs(w - found[i]!) ** 0.7, 0);
const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;

for (const [name, layersOf] of Object.entries({ transformer, recogniser }))
  test(`better than the nearest codes on every matrix: ${name}`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const gains: Record<string, number[]> = {};
    for (const layer of await layersOf()) {
      const { weight, dims, moments } = layer;
      for (const [bits, options] of Object.entries({
        "4 bits, blocks": { type: "uint4", axis: 0, block: 32 },
        "4 bits, blocks, symmetric": { type: "int4", axis: 0, block: 32 },
        "8 bits, columns": { type: "int8", axis: 1 },
      } as const)) {
        const grid = weightGrid(weight, dims, options);
        const nearest = dequantizeTensor(quantizeTensor(weight, dims, grid));
        const [before, after] = [nearest, dequantizeTensor(gptq(weight, dims, grid, moments))].map((w) =>
          outputSnrDb(layer, w),
        ) as [number, number];
        (gains[`GPTQ, ${bits}`] ??= []).push(after - before);
        assert.ok(after > before + 1, `${layer.name} [${dims}], ${bits}: ${before} dB nearest, ${after} dB GPTQ`);
        const half = dequantizeTensor(hqq(weight, dims, grid));
        assert.ok(norm(layer, half) <= norm(layer, nearest));
        (gains[`HQQ, ${bits}`] ??= []).push(outputSnrDb(layer, half) - before);
      }
    }
    for (const [what, list] of Object.entries(gains)) t.diagnostic(`${what}: ${mean(list).toFixed(2)} dB gained`);
    // Without data single matrices may lose a little: what is gained is their mean.
    assert.ok(mean(gains["HQQ, 4 bits, blocks"]!) > 0);
    assert.ok(mean(gains["HQQ, 4 bits, blocks, symmetric"]!) > 0);
  });

for (const [name, bits] of [
  ["resnet20-cifar", "int8"],
  ["fastestdet", "int4"],
] as const)
  test(`GPTQ on filters, groups among them, in ${bits}: ${name}`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const { graph } = await simplify(await read(`${sharedData}models/${name}.onnx`), { engine: ortNode, opset: 21 });
    const [input] = graph.inputs;
    const [height, width] = input!.shape!.slice(2) as number[];
    const photos = photographs(8).map((p) => stretched(p, height!, width!));
    const feeds = (i: number) => ({
      [input!.name]: { type: "float32" as const, dims: [1, 3, height!, width!], data: photos[i]! },
    });
    const samples = { name: "photographs", length: 8, label: () => null, feeds, batch: () => null };
    const filters = graph.nodes.filter((n) => n.op === "Conv" && graph.initializers.has(n.inputs[1]!)).slice(0, 12);
    const moments = await secondMoments(
      graph,
      filters.map((n) => n.outputs[0]!),
      samples,
      { engine: ortNode },
    );
    let [better, grouped] = [0, 0];
    for (const n of filters) {
      const { dims } = graph.initializers.get(n.inputs[1]!)!;
      const weight = float32sOf(graph.initializers.get(n.inputs[1]!)!);
      const { groups, inputs, products } = moments.get(n.outputs[0]!)!;
      const grid = weightGrid(weight, dims, { type: bits, axis: 0 });
      const errorOf = (q: Float32Array) => filterError(weight, q, products, groups, inputs);
      const nearest = errorOf(dequantizeTensor(quantizeTensor(weight, dims, grid)));
      const found = errorOf(dequantizeTensor(gptq(weight, dims, grid, products, { inputAxis: 1, groups })));
      if (groups > 1) grouped++;
      if (found < nearest) better++;
    }
    t.diagnostic(`${better} of ${filters.length} filters better, ${grouped} with groups`);
    assert.ok(better >= filters.length - 1);
    if (name === "fastestdet") assert.ok(grouped > 2);
  });
/** Sum over outputs of e^T H e, where e is the error of an output's weights [o k]. */
function filterError(
  weight: Float32Array,
  found: Float32Array,
  moments: Float64Array,
  groups: number,
  k: number,
): number {
  const outputs = weight.length / k;
  let sum = 0;
  for (let o = 0; o < outputs; o++) {
    const at = Math.floor((o * groups) / outputs) * k * k;
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++)
        sum +=
          (weight[o * k + i]! - found[o * k + i]!) *
          moments[at + i * k + j]! *
          (weight[o * k + j]! - found[o * k + j]!);
  }
  return sum;
}

const small = () => {
  const random = randomFrom(3);
  const [k, n, rows] = [24, 10, 200];
  const weight = Float32Array.from({ length: k * n }, () => random() - 0.5);
  const x = Float32Array.from({ length: rows * k }, (_, i) => random() + Math.sin((i % k) / 3 + Math.floor(i / k)));
  const moments = new Float64Array(k * k);
  addMoments(moments, x, k);
  return { k, n, weight, moments };
};

test("GPTQ on a transposed weight gives the transposed codes, the same each time", () => {
  const { k, n, weight, moments } = small();
  const transposed = Float32Array.from({ length: k * n }, (_, i) => weight[(i % k) * n + Math.floor(i / k)]!);
  const [a, b] = [
    weightGrid(weight, [k, n], { type: "int4", axis: 1 }),
    weightGrid(transposed, [n, k], { type: "int4", axis: 0 }),
  ];
  const one = gptq(weight, [k, n], a, moments);
  const two = gptq(transposed, [n, k], b, moments, { inputAxis: 1 });
  assert.deepEqual(
    Array.from(one.codes),
    Array.from(one.codes, (_, i) => two.codes[(i % n) * k + Math.floor(i / n)]!),
  );
  assert.deepEqual(gptq(weight, [k, n], a, moments), one);
});

test("GPTQ on inputs that have nothing to do with one another, or were never seen, takes the nearest codes", () => {
  const { k, n, weight } = small();
  const grid = weightGrid(weight, [k, n], { type: "int4", axis: 1 });
  const moments = new Float64Array(k * k);
  for (let i = 0; i < k; i++) moments[i * k + i] = i % 3;
  assert.deepEqual(gptq(weight, [k, n], grid, moments).codes, quantizeTensor(weight, [k, n], grid).codes);
  assert.deepEqual(
    gptq(weight, [k, n], grid, new Float64Array(k * k)).codes,
    quantizeTensor(weight, [k, n], grid).codes,
  );
});

test("GPTQ refuses moments that do not fit", () => {
  const { k, n, weight } = small();
  const grid = weightGrid(weight, [k, n]);
  assert.throws(() => gptq(weight, [k, n], grid, new Float64Array(9)), /24 inputs needs 24x24 second moments, got 9/);
  assert.throws(() => gptq(weight, [k, n], grid, new Float64Array(k * k).fill(Number.NaN)), /not finite/);
});
