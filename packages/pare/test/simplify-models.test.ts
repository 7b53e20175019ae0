/** simplify on every real model: as few nodes and bytes as the best simplifier today, the same outputs, on noise and on photographs, speech and text, in onnxruntime without its own optimizations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import ort from "onnxruntime-node";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { check } from "../dist/graph/check.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { float16Value } from "../dist/graph/float16.js";
import type { Graph, Subgraph } from "../dist/graph/graph.js";
import { print } from "../dist/graph/print.js";
import { bodiesOf } from "../dist/graph/scope.js";
import { simplify } from "../dist/simplify.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";
import { type Output, ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { randomFeeds } from "./support/random-feeds.js";
import { realFeeds } from "./support/real-feeds.js";
import { needsShared, sharedData } from "./support/shared.js";

/** The better of onnxsim 0.8.1 and onnxslim 0.1.98, for nodes (bodies included) and for bytes. */
const bars: Readonly<Record<string, readonly [nodes: number, bytes: number]>> = {
  cct_opset20_untrained: [57, 887220],
  dtln_model_1: [36, 1460835],
  dtln_model_2: [68, 2514688],
  espcn_subpixel_float: [8, 273866],
  espcn_subpixel_quant: [20, 263189],
  fastestdet: [210, 997985],
  gonnx_ndm: [11, 1137720],
  magika_standard_v2_1: [62, 3153291],
  mnist8_cntk: [8, 26080],
  mnist_burn: [13, 1511024],
  "resnet20-cifar.extdata": [52, 1095027],
  "resnet20-cifar": [52, 1095025],
  sklearn_randomforest: [2, 66510],
  squeezenet_fp16: [65, 2483336],
  style_candy_winml: [59, 1709513],
  super_resolution_ort: [8, 240549],
  tract_byte_bidi_lstm: [12, 1359667],
  model: [72, 11433],
  ultraface_rfb_320: [125, 1221641],
  ultraface_rfb_320_simplified: [110, 1112684],
};
/**
 * Wider bounds. Of both, onnxruntime's own optimizations change these outputs by the same amount: the first one's state by 2.3e-5 of its largest
 * value, the second one's output, sigmoids that are 2e-5 at most on noise, by 1.5e-7.
 */
const wider: Readonly<Record<string, { readonly relative?: number; readonly absolute?: number }>> = {
  silero_vad_16k_op15: { relative: 3e-5 },
  "ch_PP-OCRv4_det_infer": { absolute: 3e-7 },
};
const refusedByOrt = new Set(["espcn_subpixel_quant", "super_resolution"]);

const nodesIn = (body: Subgraph): number =>
  body.nodes.reduce((sum, n) => sum + 1 + bodiesOf(n).reduce((inner, b) => inner + nodesIn(b), 0), 0);

function numbers({ type, bits }: Output): ArrayLike<number> | null {
  const buffer = bits instanceof Uint8Array ? bits.slice().buffer : null;
  if (type === "float32") return new Float32Array(buffer!);
  return type === "float16" ? Array.from(new Uint16Array(buffer!), float16Value) : null;
}
/** Largest difference, relative to the largest value of each output. */
function assertClose(found: Readonly<Record<string, Output>>, wanted: Readonly<Record<string, Output>>, name: string) {
  assert.deepEqual(Object.keys(found), Object.keys(wanted));
  for (const [output, a] of Object.entries(wanted)) {
    const b = found[output]!;
    assert.deepEqual([b.type, b.dims], [a.type, a.dims], output);
    const [x, y] = [numbers(a), numbers(b)];
    if (!x || !y) {
      assert.deepEqual(b.bits, a.bits, output);
      continue;
    }
    const { relative = a.type === "float16" ? 1e-4 : 1e-5, absolute = 0 } = wider[name] ?? {};
    let [largest, apart] = [0, 0];
    for (let i = 0; i < x.length; i++) {
      if (Object.is(x[i], y[i])) continue;
      assert.ok(Number.isFinite(x[i]) && Number.isFinite(y[i]), `${output}[${i}]: ${y[i]} instead of ${x[i]}`);
      apart = Math.max(apart, Math.abs(x[i]! - y[i]!));
    }
    for (let i = 0; i < x.length; i++) largest = Math.max(largest, Math.abs(x[i]!));
    assert.ok(apart <= relative * largest + absolute, `${output}: ${apart} apart, largest ${largest}`);
  }
}

async function simplified(model: Model, graph: Graph): Promise<Graph> {
  const before = print(graph);
  const { graph: simple, notes } = await simplify(graph, { engine: ortNode });
  assert.equal(print(graph), before, "its input is left alone");
  check(simple);
  assert.deepEqual(notes, []);
  const [nodes, bytes] = bars[model.name] ?? [nodesIn(graph), toBytes(graph).length];
  assert.ok(nodesIn(simple) <= nodes, `${nodesIn(simple)} nodes, the best simplifier leaves ${nodes}`);
  const size = toBytes(simple).length;
  assert.ok(size <= bytes, `${size} bytes, the best simplifier leaves ${bytes}`);
  return simple;
}

const randomTensors = (model: Model, graph: Graph) =>
  Object.fromEntries(Object.entries(randomFeeds(model, graph)).map(([name, t]) => [name, ortTensor(t)]));
/** Photographs, speech or text; random where an input takes none of them. */
const realTensors = (model: Model, graph: Graph) => {
  const real = Object.entries(realFeeds(graph, model.dims)).filter(([, { type }]) =>
    /^(float32|uint8|int32)$/.test(type),
  );
  const asTensor = ({ type, dims, data }: NDArray) => new ort.Tensor(type as "float32", data as Float32Array, dims);
  return { ...randomTensors(model, graph), ...Object.fromEntries(real.map(([name, a]) => [name, asTensor(a)])) };
};

const named = (models: readonly Model[], name: string): Model => models.find((m) => m.name === name)!;
const shared = sharedModels(() => true);
for (const model of [...packagedModels(), ...shared])
  test(`${model.name}: fewer nodes and bytes, the same outputs`, async () => {
    const graph = await read(model.path);
    const simple = await simplified(model, graph);
    if (refusedByOrt.has(model.name)) return;
    const feeds = randomTensors(model, graph);
    const wanted = await ortOutputs(model.path, feeds, "disabled");
    assertClose(await ortOutputs(toBytes(simple), feeds, "disabled"), wanted, model.name);
    if (sharedData) {
      const real = realTensors(model, graph);
      const answer = await ortOutputs(model.path, real, "disabled");
      assertClose(await ortOutputs(toBytes(simple), real, "disabled"), answer, model.name);
    }
    if (model.name !== "ultraface_rfb_320") return;
    const raised = await simplify(graph, { engine: ortNode, opset: 21 });
    assert.equal(raised.graph.opsets.get(""), 21);
    assertClose(await ortOutputs(toBytes(raised.graph), feeds, "disabled"), wanted, "at opset 21");
  });

test("a malformed model of opset 1 comes out as one that runs, equal to its newer export", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const [old, twin] = [named(shared, "super_resolution"), named(shared, "super_resolution_ort")];
  const graph = await read(old.path);
  const simple = await simplified(old, graph);
  assert.equal(simple.opsets.get(""), 21);
  const input = ortTensor(Object.values(randomFeeds(old, graph))[0]!);
  const [found] = Object.values(await ortOutputs(toBytes(simple), { [graph.inputs[0]!.name]: input }, "disabled"));
  const [wanted] = Object.values(await ortOutputs(twin.path, { input }, "disabled"));
  assertClose({ y: found! }, { y: wanted! }, "super_resolution");
});

test("inputs that are given dims settle the shape arithmetic behind them", async () => {
  const model = named(packagedModels(), "ch_PP-OCRv4_rec_infer");
  const graph = await read(model.path);
  const open = await simplify(graph, { engine: ortNode });
  const { graph: fixed } = await simplify(graph, { engine: ortNode, inputs: model.dims });
  assert.ok(nodesIn(fixed) < nodesIn(open.graph));
  assert.deepEqual(fixed.inputs[0]!.shape, model.dims.x);
  const feeds = { x: ortTensor(randomFeeds(model, graph).x!) };
  const wanted = await ortOutputs(model.path, feeds, "disabled");
  assertClose(await ortOutputs(toBytes(fixed), feeds, "disabled"), wanted, model.name);
});

if (shared.length === 0) test("models of ../shared/data: fewer nodes and bytes", (t) => t.skip(needsShared));
