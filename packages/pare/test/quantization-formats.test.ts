/** Every format on small and real networks: loads and runs in onnxruntime, stays near the float graph, is smaller, and leaves no float twin behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { check } from "../dist/graph/check.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import type { Graph, Subgraph } from "../dist/graph/graph.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { bodiesOf } from "../dist/graph/scope.js";
import { floats, sizeOf } from "../dist/graph/tensor.js";
import { applyPlan } from "../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { kernelsOf } from "../dist/quantization/kernels.js";
import type { Format } from "../dist/quantization/plan.js";
import { reducedRange } from "../dist/quantization/reduced-range.js";
import { randomFeeds } from "./support/expose.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { decibels, outputsOf, planOf, prepared } from "./support/planned.js";
import { needsShared, sharedData } from "./support/shared.js";

/** Decibels to float that each format must keep, by model; random weights are kind, real ones less so. */
const floors: Readonly<Record<string, Partial<Record<Format, number>>>> = {
  lstm: { int8: 25, dynamic: 25, weights8: 30, weights4: 12, int16: 30, float16: 55 },
  bilstm: { int8: 25, dynamic: 25, weights8: 30, weights4: 12, int16: 30, float16: 55 },
  vit_sepqkv_fixedhead: { int8: 10, dynamic: 15, weights8: 25, weights4: 5, int16: 25, float16: 50 },
  resnext_g8: { int8: 15, weights8: 25, weights4: 5, int16: 25, float16: 50 },
  cct_opset20_untrained: { int8: 8, dynamic: 20, weights8: 25, weights4: 5, int16: 25, float16: 50 },
  "resnet20-cifar": { int8: 20, weights8: 30, weights4: 5, int16: 30, float16: 50 },
  flatten_fc: { int8: 20, dynamic: 25, weights8: 30, weights4: 8, int16: 30, float16: 55 },
  gonnx_ndm: { weights8: 10, float16: 25 },
};
const inner = (graph: Subgraph): Subgraph[] => [graph, ...graph.nodes.flatMap(bodiesOf).flatMap(inner)];
/** Bytes of float32 constants with at least 64 elements, bodies included. */
const floatBytes = (graph: Graph): number =>
  inner(graph)
    .flatMap((g) => [...g.initializers.values()])
    .filter((t) => t.type === "float32" && t.dims.length >= 2 && sizeOf(t.dims) >= 64)
    .reduce((sum, t) => sum + t.bytes.length, 0);

for (const model of sharedModels((m) => m.name in floors))
  test(`${model.name}: every format loads, runs and stays near float`, async (t) => {
    const graph = prepared(await read(model.path));
    const before = toBytes(graph);
    const runs = [1, 2].map((seed) => randomFeeds(graph, model.dims, seed));
    const wanted = await outputsOf(graph, runs[0]!);
    for (const [format, floor] of Object.entries(floors[model.name]!) as [Format, number][]) {
      const activations = format === "int16" ? "uint16" : "uint8";
      const plan = await planOf(graph, (c) => (c.node.op === "Conv" && format === "dynamic" ? "float" : format), runs, {
        activations,
      });
      assert.ok(plan.layers.size > 0, format);
      const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
      check(quantized);
      const bytes = toBytes(quantized).length;
      const db = decibels(wanted, await outputsOf(quantized, runs[0]!));
      t.diagnostic(
        `${format}: ${plan.layers.size} nodes, ${(bytes / before.length).toFixed(3)} of the bytes, ${db.toFixed(1)} dB`,
      );
      assert.ok(db >= floor, `${format}: ${db} dB, wanted ${floor}`);
      assert.ok(bytes < before.length, `${format}: ${bytes} bytes, before ${before.length}`);
      assert.deepEqual(
        quantized.outputs.map((v) => v.name),
        graph.outputs.map((v) => v.name),
      );
    }
    assert.deepEqual(toBytes(graph), before, "the float graph is untouched");
  });
test("models of ../shared/data", { skip: sharedData ? false : needsShared }, () => {});

for (const model of packagedModels().filter((m) => m.name === "silero_vad"))
  test("weights inside and outside of If bodies, read by an integer convolution there", async (t) => {
    const graph = prepared(await read(model.path));
    const feeds = {
      ...randomFeeds(graph, model.dims, 1),
      sr: { type: "int64", dims: [], data: BigInt64Array.of(16000n) },
    } as const;
    const wanted = await outputsOf(graph, feeds);
    for (const format of ["int8", "weights8", "weights4", "float16"] as const) {
      const plan = await planOf(graph, format, [feeds]);
      const inside = new Set(
        inner(graph)
          .slice(1)
          .flatMap((g) => g.nodes.map((n) => n.outputs[0]!)),
      );
      assert.ok([...plan.layers.keys()].filter((key) => inside.has(key)).length > 10);
      const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
      check(quantized);
      const db = decibels(wanted, await outputsOf(quantized, feeds));
      t.diagnostic(`${format}: ${plan.layers.size} nodes, ${db.toFixed(1)} dB`);
      if (format !== "int8") assert.ok(db > (format === "weights4" ? 0 : 20), `${format}: ${db}`);
      // The LSTM's matrices are computed from constants, which is not undone here.
      assert.ok(floatBytes(quantized) < 0.7 * floatBytes(graph), format);
    }
  });

const convolutions: Readonly<Record<string, number>> = {
  "resnet20-cifar": 21,
  shufflenet_v2: 9,
  resnext_g8: 4,
  dense_concat: 4,
};
for (const model of sharedModels((m) => m.name in convolutions))
  test(`${model.name}: every convolution and product runs on integers, by onnxruntime's own profile`, async () => {
    const graph = prepared(await read(model.path));
    const feeds = randomFeeds(graph, model.dims, 1);
    const plan = await planOf(graph, "int8", [feeds]);
    const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
    const report = await kernelsOf(quantized, eligibleNodes(graph, "ort-node"), plan.layers, feeds);
    const products = report.nodes.filter((n) => n.op === "Conv" || n.op === "Gemm" || n.op === "MatMul");
    assert.ok(products.length >= convolutions[model.name]!);
    assert.deepEqual(
      products.filter((n) => !n.integer),
      [],
    );
  });

test("one processor, one answer: int8 weights on grids with room for it multiply without overflow", async () => {
  const { reduced, note } = await reducedRange(ortNode);
  assert.match(note, reduced ? /no VNNI/ : /do not overflow/);
  const length = 64;
  const graph = emptyGraph("pairs", 21);
  graph.inputs.push({ name: "x", type: "float32", shape: [8, length] });
  graph.initializers.set(
    "w",
    floats(
      Float32Array.from({ length: length * 16 }, (_, i) => 1 + (i % 7) / 100),
      [length, 16],
    ),
  );
  graph.nodes.push({ op: "MatMul", domain: "", name: "m", inputs: ["x", "w"], outputs: ["y"], attributes: {} });
  graph.outputs.push({ name: "y", type: "float32", shape: [8, 16] });
  const feeds = { x: { type: "float32", dims: [8, length], data: new Float32Array(8 * length).fill(1) } } as const;
  const plan = await planOf(graph, "int8", [feeds]);
  const wanted = await outputsOf(graph, feeds);
  const db = async (room: boolean) =>
    decibels(wanted, await outputsOf(applyPlan(graph, plan, { target: "ort-node", reduced: room }), feeds));
  assert.ok((await db(true)) > 40, `${await db(true)}`);
  if (reduced) assert.ok((await db(false)) < 20, "without room this processor overflows");
});
