/** Factorised networks: what targets, ranks and exclusions do to whole graphs, and how close their answers stay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "../dist/analyze/inspect.js";
import { open } from "../dist/data/open.js";
import { limited, subset } from "../dist/data/views.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { factorize } from "../dist/factorize.js";
import { Emitter } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { network } from "../dist/methods/architecture/networks.js";
import { prune } from "../dist/prune.js";
import { evaluate } from "../dist/train/evaluate.js";
import { blobs } from "./support/blobs.js";
import { sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";

const engine = ortNode;
const untrained = { epochs: 0 } as const;
const names = (g: Graph) => [g.inputs, g.outputs].map((l) => l.map((v) => [v.name, v.type, v.shape]));
/** Times of this machine must not decide what a test sees. */
const fixed = { measure: false, train: untrained, samples: 32, rounds: 1 } as const;

test("rank 30 makes fc1 of LeNet-300-100 seven times smaller; nothing else changes, and the input graph stays", async () => {
  const graph = network("lenet-300-100", { seed: 1 });
  const before = toBytes(graph);
  const {
    facts,
    graph: small,
    notes,
  } = await factorize(graph, {
    engine,
    method: "svd",
    options: { ...fixed, ranks: { fc1: 30 } },
  });
  assert.deepEqual(toBytes(graph), before);
  assert.deepEqual(names(small), names(graph));
  assert.deepEqual(facts.layers[0]!.parameters, [235_200, 32_520]);
  assert.deepEqual(notes.map((n) => [n.node, n.what]).sort(), [
    ["fc1", "done"],
    ["fc2", "skipped"],
    ["fc3", "skipped"],
  ]);
  assert.equal(inspect(small).parameters, inspect(graph).parameters - 235_200 + 32_520);
});

test("targets are met, with the same bytes for the same seed", async () => {
  const b = new NetworkBuilder("small", 3);
  const hidden = b.relu(b.dense(b.flatten(b.input("x", [1, 12, 12])), "fc1", 64), "relu1");
  const graph = b.finish(b.dense(b.relu(b.dense(hidden, "fc2", 64), "relu2"), "fc3", 4), "logits");
  for (const target of [{ macs: 0.6 }, { bytes: 0.6 }]) {
    const data = "macs" in target ? blobs(32, [1, 12, 12], 1) : null;
    const run = () => factorize(graph, { engine, data, method: "svd", options: { ...fixed, target } });
    const found = await run();
    const [before, after] = "macs" in target ? found.facts.macs : found.facts.sizeBytes;
    assert.ok(after <= 0.6 * before && after > 0.4 * before, `${JSON.stringify(target)}: ${after / before}`);
    assert.equal(inspect(found.graph).macs, found.facts.macs[1]);
    assert.deepEqual(names(found.graph), names(graph));
    if (data) assert.deepEqual(toBytes((await run()).graph), toBytes(found.graph));
  }
});

test("a factorised network with folded BatchNormalization trains", async () => {
  const data = blobs(32, [3, 32, 32], 1);
  const train = { epochs: 1, batchSize: 16, learningRate: 0.001 };
  const tuned = await factorize(network("depthwise", { seed: 1 }), {
    engine,
    data,
    validation: data,
    method: "svd",
    options: { ...fixed, target: { macs: 0.5 }, train },
  });
  assert.ok(tuned.history.length === 1 && Number.isFinite(tuned.history[0]!.loss));
});

test("a share of the energy, and variational Bayes, choose ranks of their own", async () => {
  const graph = network("cnn-small", { seed: 1 });
  const data = blobs(32, [1, 28, 28], 1);
  const kept = async (energy: number) =>
    (await factorize(graph, { engine, data, method: "tucker2", options: { ...fixed, target: { energy } } })).facts;
  const [more, less] = [await kept(0.95), await kept(0.5)];
  assert.ok(less.macs[1] < more.macs[1]);
  for (const l of [...more.layers, ...less.layers])
    assert.ok(l.error <= (more.layers.includes(l) ? 0.05 : 0.5), `${l.error}`);
  // Random weights are noise alone.
  const noise = await factorize(graph, { engine, method: "tucker2", options: { ...fixed, target: "vbmf" } });
  for (const l of noise.facts.layers) assert.ok(Math.min(...l.ranks) <= 2, `${l.ranks}`);
});

test("the model that is quantized already is refused by the node that says so", async () => {
  const graph = draft(network("lenet-5", { seed: 1 }));
  graph.nodes.push({
    ...graph.nodes[0]!,
    op: "QuantizeLinear",
    name: "q",
    inputs: ["x", "s"],
    outputs: ["xq"],
    attributes: {},
  });
  await assert.rejects(factorize(graph, { engine }), /quantized already \(QuantizeLinear "q"\)/);
  await assert.rejects(
    prune(graph, { method: "magnitude" }),
    /quantized already \(QuantizeLinear "q"\): prune the float/,
  );
  const d = emptyGraph("codes", 21);
  const e = new Emitter(d);
  d.inputs.push({ name: "x", type: "float32", shape: [1, 2] });
  const codes = e.constant({ type: "int8", dims: [2, 3], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) });
  const y = e.op("MatMul", ["x", e.cast(codes, "float32")]);
  d.outputs.push({ name: y, type: "float32", shape: null });
  for (const run of [factorize(d, { engine }), prune(d, { method: "magnitude" })])
    await assert.rejects(run, /quantized already \(Cast "/);
});

test("a model without layers is refused, not written again", async () => {
  const d = emptyGraph("bare", 21);
  const e = new Emitter(d);
  d.inputs.push({ name: "x", type: "float32", shape: [1, 2] });
  d.outputs.push({ name: e.op("Relu", ["x"]), type: "float32", shape: null });
  await assert.rejects(factorize(d, { engine }), /it has no layers of weights/);
  for (const method of ["magnitude", "structured"] as const)
    await assert.rejects(prune(d, { method }), /it has no (layers of weights|groups of channels)/);
});

test("real networks: every topology is factorised and runs, or says for every layer why not", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const done: string[] = [];
  for (const m of sharedModels((x) => x.path.includes("topologies"))) {
    const graph = await read(m.path);
    const found = await factorize(graph, { engine, method: "svd", options: { ...fixed, target: { macs: 0.7 } } }).catch(
      (e: Error) => e,
    );
    if (found instanceof Error) assert.match(found.message, /no layer of this model pays/, m.name);
    else {
      done.push(m.name);
      const session = await engine.load(found.graph);
      await session.release();
      assert.ok(found.facts.macs[1] < found.facts.macs[0], m.name);
    }
  }
  assert.ok(done.length >= 5, done.join(", "));
});

test("ResNet-20 with half the MACs, untrained, from 64 images: above 60 % of CIFAR-10", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const normalize = "0.4914,0.4822,0.4465/0.247,0.2435,0.2616";
  const data = limited(await open(`${sharedData}cifar10/data_batch_1.bin.br`, { normalize, limit: 64 }), 64);
  const test = await open(`${sharedData}cifar10/test_batch.bin.br`, { normalize, limit: 500 });
  const graph = await read(`${sharedData}models/resnet20-cifar.onnx`);
  const options = { ...fixed, samples: 64, rounds: 0, target: { macs: 0.5 } };
  const { graph: half, facts } = await factorize(graph, { engine, data, method: "spatial", options });
  assert.ok(facts.macs[1] <= 0.5 * facts.macs[0]);
  const { top1 } = await evaluate(
    half,
    subset(
      test,
      Array.from({ length: test.length }, (_, i) => i),
    ),
    { engine },
  );
  assert.ok(top1 > 0.6, `${top1}`);
});
