/** Simplified models answer as before, in no more nodes and bytes than the best of the tools that people use today. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { emptyGraph, type Graph, type Subgraph } from "../dist/graph/graph.js";
import { bodiesOf } from "../dist/graph/scope.js";
import { floats, int64s } from "../dist/graph/tensor.js";
import { uniqueNames } from "../dist/passes/unique-names.js";
import { simplify } from "../dist/simplify.js";
import { arrayOf, worstDifference } from "./support/compare.js";
import { branching } from "./support/hand-made.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";
import { randomFeeds } from "./support/random-feeds.js";
import { needsShared } from "./support/shared.js";

/** Nodes (bodies included) and bytes that the better of onnxsim 0.8.1 and onnxslim 0.1.98 leaves. */
const bars: Readonly<Record<string, readonly [nodes: number, bytes: number]>> = {
  cct_opset20_untrained: [57, 887220],
  dtln_model_1: [36, 1460835],
  dtln_model_2: [68, 2514688],
  espcn_subpixel_float: [8, 273866],
  fastestdet: [210, 997985],
  gonnx_ndm: [11, 1137720],
  magika_standard_v2_1: [62, 3153291],
  mnist8_cntk: [8, 26080],
  mnist_burn: [13, 1511024],
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

const nodesIn = (body: Subgraph): number =>
  body.nodes.reduce((sum, n) => sum + 1 + bodiesOf(n).reduce((inner, b) => inner + nodesIn(b), 0), 0);

async function answers(graph: Graph, feeds: Parameters<typeof arrayOf>[0][], names: readonly string[]) {
  const session = await ortNode.load(graph, { optimize: "none" });
  try {
    const inputs = graph.inputs.filter((v) => !graph.initializers.has(v.name)).map((v) => v.name);
    return await session.run(Object.fromEntries(inputs.map((name, i) => [name, arrayOf(feeds[i]!)])), names);
  } finally {
    await session.release();
  }
}

async function sameAnswers(model: Model): Promise<void> {
  const graph = await read(model.path);
  const bytes = toBytes(graph);
  const { graph: simple } = await simplify(graph, { engine: ortNode });
  assert.deepEqual(toBytes(graph), bytes, "the model itself is untouched");
  assert.deepEqual(
    simple.outputs.map((v) => v.name),
    graph.outputs.map((v) => v.name),
  );
  assert.ok(nodesIn(simple) <= nodesIn(graph));
  assert.ok(toBytes(simple).length <= bytes.length + 256, `${bytes.length} bytes became ${toBytes(simple).length}`);
  const bar = bars[model.name];
  if (bar) {
    assert.ok(nodesIn(simple) <= bar[0], `${nodesIn(simple)} nodes, the bar is ${bar[0]}`);
    assert.ok(toBytes(simple).length <= bar[1], `${toBytes(simple).length} bytes, the bar is ${bar[1]}`);
  }
  const half = [...graph.initializers.values()].some((t) => t.type === "float16");
  const names = graph.outputs.filter((v) => v.type !== "undefined").map((v) => v.name);
  for (const seed of [1, 2]) {
    const feeds = randomFeeds(model, graph, seed);
    const list = graph.inputs.filter((v) => !graph.initializers.has(v.name)).map((v) => feeds[v.name]!);
    const [wanted, found] = [await answers(graph, list, names), await answers(simple, list, names)];
    for (const name of names) {
      const difference = worstDifference(found[name]!, wanted[name]!);
      assert.ok(difference <= (half ? 1e-3 : 1e-4), `"${name}" differs by ${difference}`);
    }
  }
}

/** onnxruntime does not load the original: "Missing opset" in its own words. */
const refused = new Set(["super_resolution"]);
const models = [...sharedModels(), ...packagedModels()].filter((m) => !refused.has(m.name));
for (const model of models) test(`simplified ${model.name} answers as before`, () => sameAnswers(model));
test("real models of ../shared/data", { skip: sharedModels().length === 0 && needsShared }, () => {
  const known = new Set(sharedModels().map((m) => m.name));
  assert.deepEqual(
    Object.keys(bars).filter((name) => !known.has(name)),
    [],
    "every bar has its model",
  );
});

test("a model that onnxruntime refuses passes with its weights", {
  skip: sharedModels().length === 0 && needsShared,
}, async () => {
  const model = sharedModels().find((m) => refused.has(m.name))!;
  const graph = await read(model.path);
  const { graph: simple } = await simplify(graph, { engine: ortNode });
  assert.ok(nodesIn(simple) <= nodesIn(graph) && toBytes(simple).length <= toBytes(graph).length);
  assert.equal(simple.initializers.size, graph.initializers.size);
});

function small(opset = 21): { graph: ReturnType<typeof emptyGraph>; g: Emitter } {
  const graph = emptyGraph("small", opset);
  return { graph, g: new Emitter(graph) };
}

test("names of sibling branches become unique, and the model answers as before", async () => {
  const graph = branching();
  const unique = uniqueNames(graph);
  const seen = new Map<string, number>();
  const walk = (body: Subgraph): void => {
    for (const n of body.nodes) {
      for (const o of n.outputs) seen.set(o, (seen.get(o) ?? 0) + 1);
      for (const inner of bodiesOf(n)) walk(inner);
    }
  };
  walk(unique);
  assert.deepEqual(
    [...seen].filter(([name, count]) => name && count > 1),
    [],
  );
});

test("a branch whose condition is known stands in the place of its If", async () => {
  const { graph, g } = small();
  graph.inputs.push({ name: "x", type: "float32", shape: [2] });
  const body = (op: string): Subgraph => ({
    name: op,
    nodes: [node(op, ["x"], ["inner"])],
    initializers: new Map(),
    inputs: [],
    outputs: [{ name: "inner", type: "float32", shape: [2] }],
    values: new Map(),
  });
  const condition = g.op("Less", [g.ints([1]), g.ints([2])]);
  graph.nodes.push({
    ...node("If", [g.op("Squeeze", [condition])], ["y"]),
    attributes: {
      then_branch: { kind: "graph", value: body("Neg") },
      else_branch: { kind: "graph", value: body("Exp") },
    },
  });
  graph.outputs.push({ name: "y", type: "float32", shape: [2] });
  const { graph: simple } = await simplify(graph, { engine: ortNode });
  assert.deepEqual(
    simple.nodes.map((n) => n.op),
    ["Neg"],
  );
  assert.deepEqual(simple.nodes[0]!.outputs, ["y"]);
});

test("an open batch stays open, given dims settle it, and a stranger is named", async () => {
  const { graph, g } = small();
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 2, 3] });
  const batch = g.op("Gather", [g.op("Shape", ["x"]), g.ints([0])]);
  const flat = g.op("Reshape", ["x", g.op("Concat", [batch, g.ints([-1])], { axis: 0 })]);
  const tiled = g.op("Expand", [g.constant(floats([1], [1, 1])), g.op("Concat", [batch, g.ints([6])], { axis: 0 })]);
  graph.outputs.push({ name: g.op("Add", [flat, tiled]), type: "float32", shape: ["n", 6] });
  const open = await simplify(graph, { engine: ortNode });
  const reshape = open.graph.nodes.find((n) => n.op === "Reshape")!;
  assert.deepEqual(open.graph.initializers.get(reshape.inputs[1]!), int64s([0, 6]));
  for (const n of [1, 4]) {
    const x = floats(Float32Array.from({ length: n * 6 }, Math.sin), [n, 2, 3]);
    const name = graph.outputs[0]!.name;
    assert.deepEqual((await answers(open.graph, [x], [name]))[name], (await answers(graph, [x], [name]))[name]);
  }
  const fixed = await simplify(graph, { engine: ortNode, inputs: { x: [4, 2, 3] } });
  assert.ok(!fixed.graph.nodes.some((n) => n.op === "Shape" || n.op === "Concat"));
  assert.deepEqual(fixed.graph.inputs[0]!.shape, [4, 2, 3]);
  await assert.rejects(simplify(graph, { engine: ortNode, inputs: { z: [1] } }), /no input "z"/);
});

test("a constant that would outgrow what it is made of stays computed", async () => {
  const { graph, g } = small();
  graph.inputs.push({ name: "x", type: "float32", shape: [100, 100] });
  const wide = g.op("Expand", [g.scalar(0.5), g.ints([100, 100])]);
  graph.outputs.push({ name: g.op("Add", ["x", wide]), type: "float32", shape: [100, 100] });
  const { graph: simple } = await simplify(graph, { engine: ortNode });
  assert.ok(toBytes(simple).length < 1000);
});

test("a weight that two layers read keeps its values when one of them is followed by a normalisation", async () => {
  const { graph, g } = small();
  graph.inputs.push({ name: "x", type: "float32", shape: [1, 2, 3, 3] });
  const w = g.constant(floats(Float32Array.from({ length: 4 }, Math.cos), [2, 2, 1, 1]));
  const [scale, shift, mean, variance] = [
    [2, 3],
    [1, 0],
    [0.5, 0],
    [4, 1],
  ].map((v) => g.constant(floats(v, [2])));
  const first = g.op("Conv", ["x", w], { kernel_shape: [1, 1] });
  const normal = g.op("BatchNormalization", [first, scale!, shift!, mean!, variance!]);
  const second = g.op("Conv", [normal, w], { kernel_shape: [1, 1] });
  graph.outputs.push({ name: second, type: "float32", shape: [1, 2, 3, 3] });
  const { graph: simple } = await simplify(graph, { engine: ortNode });
  const x = floats(Float32Array.from({ length: 18 }, Math.sin), [1, 2, 3, 3]);
  const [a, b] = [await answers(graph, [x], [second]), await answers(simple, [x], [second])];
  assert.ok(worstDifference(b[second]!, a[second]!) < 1e-6);
});

test("an older model is raised to opset 21, one with a stranger stays and says so", async () => {
  const { graph, g } = small(9);
  graph.inputs.push({ name: "x", type: "float32", shape: [1, 3] });
  graph.outputs.push({ name: g.op("Squeeze", ["x"], { axes: [0] }), type: "float32", shape: [3] });
  assert.equal((await simplify(graph, { engine: ortNode, opset: 21 })).graph.opsets.get(""), 21);
  graph.nodes.push(node("Mystery", ["x"], ["z"]));
  graph.outputs.push({ name: "z", type: "float32", shape: [1, 3] });
  const { graph: kept, notes } = await simplify(graph, { engine: ortNode, opset: 21 });
  assert.equal(kept.opsets.get(""), 9);
  assert.match(notes.join(), /opset stays 9.*Mystery/);
});
