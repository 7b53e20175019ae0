/** Structured pruning from the outside: what is counted without cutting, plans against their zeroed twins, repairs, refusals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couple } from "../dist/analyze/couple.js";
import { cut, masked } from "../dist/analyze/cut.js";
import { groupsOf } from "../dist/analyze/groups.js";
import { inspect } from "../dist/analyze/inspect.js";
import { bytesTally, macsTally } from "../dist/analyze/tally.js";
import type { Dataset } from "../dist/data/dataset.js";
import { fromArrays } from "../dist/data/from-table.js";
import { open } from "../dist/data/open.js";
import { limited } from "../dist/data/views.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { nearestNames } from "../dist/graph/nearest-names.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { channelScores } from "../dist/importance/channel-scores.js";
import { importance } from "../dist/importance/importance.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { network } from "../dist/methods/architecture/networks.js";
import type { Tools } from "../dist/methods/method.js";
import { structured } from "../dist/methods/prune/structured.js";
import { refreshStatistics } from "../dist/methods/refresh-statistics.js";
import { allocate, type Candidate, widthsOf } from "../dist/methods/widths.js";
import { evaluate } from "../dist/train/evaluate.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";
import { run } from "./support/cut-proof.js";
import { randomFeeds, randomFrom } from "./support/expose.js";
import { sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, fillZeros, randomHalf } from "./support/zeros.js";

const none = { masks: new Map(), codebooks: new Map() };
const toolsOn = (dense: Graph, data: Dataset | null, log: string[] = []): Tools => ({
  engine: ortNode,
  data,
  validation: data,
  dense,
  constraints: none,
  seed: 1,
  train: (graph, o) => train(graph, { ...o, data: data!, seed: 1, engine: ortNode }),
  settled: (work) => work(),
  evaluate: (graph) => evaluate(graph, data!, { engine: ortNode }),
  log: (line) => void log.push(line),
});
const prune = (graph: Graph, data: Dataset | null, o: object, log: string[] = []) =>
  structured.apply(graph, structured.options.parse({ train: { epochs: 0 }, ...o }), toolsOn(graph, data, log));

test("MACs and bytes without cutting are those of the cut model, on the built-in networks and every topology", async () => {
  const random = randomFrom(5);
  const graphs: [string, Graph, Record<string, readonly number[]>][] = ["resnet-20", "depthwise", "lenet-5"].map(
    (name) => [name, network(name, { seed: 1 }), {}],
  );
  for (const m of sharedModels((m) => m.path.includes("topologies"))) graphs.push([m.name, await read(m.path), m.dims]);
  for (const [name, graph, inputs] of graphs) {
    const coupling = couple(graph, { inputs });
    const free = groupsOf(coupling).filter((g) => !g.blocked);
    const removed = new Set(free.flatMap((g) => randomHalf(g.channels, random)));
    const after = inspect(cut(coupling, removed), { inputs: coupling.inputs });
    const before = inspect(graph, { inputs: coupling.inputs });
    const [macs, bytes] = [macsTally(coupling), bytesTally(coupling)];
    assert.ok(Math.abs(macs(new Set()) - before.macs) < 1, `${name}: ${macs(new Set())} MACs, ${before.macs}`);
    assert.ok(Math.abs(macs(removed) - after.macs) < 1e-6 * before.macs, `${name}: ${macs(removed)}, ${after.macs}`);
    // Numbers of shape arithmetic count as bytes here and not there.
    const saved = (bytes(new Set()) - bytes(removed)) / (before.sizeBytes - after.sizeBytes || 1);
    assert.ok(free.length === 0 || Math.abs(saved - 1) < 0.02, `${name}: ${saved} of the bytes`);
  }
});

test("plans for half the MACs: the cut model is its zeroed twin, on every topology and real model that has free groups", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const some = ["resnet20-cifar", "mnist8_cntk"];
  for (const m of sharedModels((m) => m.path.includes("topologies") || some.includes(m.name))) {
    const graph = fillZeros(await read(m.path));
    const coupling = couple(graph, { inputs: m.dims });
    const free = groupsOf(coupling).filter((g) => !g.blocked);
    const scores = await importance(graph, null, "l2");
    const lists = channelScores(coupling, free, scores, { reduce: "mean", sides: "all" });
    const candidates = free.flatMap((group, i): Candidate[] =>
      lists[i] ? [{ group, scores: lists[i], widths: widthsOf(group, 4, 1) }] : [],
    );
    const cost = macsTally(coupling);
    for (const allocation of ["uniform", "global"] as const) {
      const plan = await allocate(candidates, allocation, cost, 0.5 * cost(new Set()));
      const dims = { ...coupling.inputs, ...m.dims };
      const feeds = randomFeeds(graph, dims);
      const twin = await run(masked(coupling, plan.removed), feeds);
      const error = far(twin, await run(cut(coupling, plan.removed), feeds));
      t.diagnostic(
        `${m.name} ${allocation}: ${(plan.cost / cost(new Set())).toFixed(2)} of the MACs, error ${error.toExponential(0)}`,
      );
      assert.ok(error < 1e-4, `${m.name} ${allocation}: ${error}`);
      assert.ok(candidates.length === 0 || plan.cost < cost(new Set()), `${m.name} ${allocation}`);
    }
  }
});

/** Two convolutions, of whose channels every second is half of another, a normalisation and a residual sum behind. */
function twins(): Graph {
  const b = new NetworkBuilder("twins", 2);
  const x = b.input("x", [3, 8, 8]);
  const stem = b.relu(b.conv(x, "stem", 8, 3, { pad: 1 }), "relu0");
  const inner = b.relu(b.batchNorm(b.conv(stem, "conv1", 8, 3, { pad: 1, bias: false }), "bn1"), "relu1");
  const sum = b.relu(
    b.add(b.batchNorm(b.conv(inner, "conv2", 8, 3, { pad: 1, bias: false }), "bn2"), stem, "sum"),
    "relu2",
  );
  const g = draft(b.finish(b.dense(b.flatten(b.globalAveragePool(sum, "pool")), "fc", 4), "y"));
  const w = float32sOf(g.initializers.get("conv1.weight")!).slice();
  for (let k = 4; k < 8; k++)
    w.set(
      w.subarray((k - 4) * 72, (k - 3) * 72).map((v) => v / 2),
      k * 72,
    );
  g.initializers.set("conv1.weight", floats(w, [8, 8, 3, 3]));
  return g;
}

test("least squares bring back what redundant channels carried", async () => {
  const graph = twins();
  const before = toBytes(graph);
  const data = blobs(48, [3, 8, 8], 3);
  const feeds = { x: blobs(16, [3, 8, 8], 9).batch([...Array(16).keys()]).inputs[0]! };
  const wanted = await run(graph, feeds);
  const o = {
    target: { macs: 0.71 },
    allocation: "global",
    importance: "l1",
    sides: "outputs",
    exclude: ["stem"],
    roundTo: 4,
    ridge: 1e-6,
  };
  const [bare, mended] = [
    await prune(graph, data, { ...o, repair: "none" }),
    await prune(graph, data, { ...o, repair: "reconstruct" }),
  ];
  assert.deepEqual(mended.graph.initializers.get("conv1.weight")!.dims, [4, 8, 3, 3]);
  const [worse, better] = [far(wanted, await run(bare.graph, feeds)), far(wanted, await run(mended.graph, feeds))];
  assert.ok(worse > 0.02 && better < worse / 50, `${worse} unrepaired, ${better} repaired`);
  assert.deepEqual(toBytes(graph), before);
});

test("BatchNormalization's statistics are those of the data", async () => {
  const graph = twins();
  const data = blobs(32, [3, 8, 8], 3);
  const fresh = await refreshStatistics(graph, { data, samples: 32, engine: ortNode });
  const conv = {
    ...graph,
    outputs: [
      {
        name: graph.nodes.find((n) => n.op === "BatchNormalization")!.inputs[0]!,
        type: "float32" as const,
        shape: null,
      },
    ],
  };
  const [values] = Object.values(await run(conv, { x: data.batch([...Array(32).keys()]).inputs[0]! }));
  for (let c = 0; c < 8; c++) {
    const mine = (values!.data as Float32Array).filter((_, i) => Math.floor(i / 64) % 8 === c);
    const mean = mine.reduce((a, v) => a + v, 0) / mine.length;
    const variance = mine.reduce((a, v) => a + (v - mean) ** 2, 0) / mine.length;
    const found = ["running_mean", "running_var"].map((n) => float32sOf(fresh.initializers.get(`bn1.${n}`)!)[c]!);
    assert.ok(
      Math.abs(found[0]! - mean) < 1e-4 && Math.abs(found[1]! - variance) < 1e-3 * variance + 1e-6,
      `channel ${c}`,
    );
  }
});

test("allocations and targets: each meets what it is asked; steps with training between go the same way", async () => {
  const graph = network("cnn-small", { seed: 1 });
  const data = blobs(64, [1, 28, 28], 1);
  const border = (g: Graph) => [g.inputs, g.outputs].map((l) => l.map((v) => [v.name, v.type, v.shape]));
  const before = inspect(graph);
  for (const o of [
    { target: { macs: 0.6 }, allocation: "uniform", repair: "none" },
    { target: { macs: 0.6 }, allocation: "global", importance: "taylor", samples: 4, repair: "statistics" },
    { target: { bytes: 0.5 }, allocation: "sensitivity", samples: 8 },
    { target: { macs: 0.4 }, allocation: "global", steps: 2, samples: 16, train: { epochs: 1, batchSize: 32 } },
  ]) {
    const { graph: after, notes, history } = await prune(graph, data, { roundTo: 2, ...o });
    const facts = inspect(after);
    const kind = "macs" in o.target ? "macs" : "sizeBytes";
    const [share, got] = [Object.values(o.target)[0]!, facts[kind] / before[kind]];
    assert.ok(got <= share + 1e-3 && got > share - 0.12, `${JSON.stringify(o)}: ${got}`);
    assert.deepEqual(border(after), border(graph));
    for (const g of facts.groups) if (g.free) assert.equal(g.size % 2, 0, g.name);
    assert.ok(notes.some((n) => n.what === "done"));
    assert.equal(history!.length, o.steps ?? 0);
  }
});

test("the latency target is a time: a quarter of the channels is no slower than all of them", async () => {
  const graph = network("resnet-20", { seed: 1 });
  const { graph: after } = await prune(graph, null, {
    target: { latency: 0.6 },
    allocation: "global",
    repair: "none",
    roundTo: 16,
  });
  // Not timed here: what is faster has less to do.
  assert.ok(inspect(after).macs < 0.85 * inspect(graph).macs, `${inspect(after).macs}`);
});

test("bad input: a target out of reach is named and the nearest kept; blocked groups give reasons; unknown names their neighbours", async () => {
  const graph = network("resnet-20", { seed: 1 });
  const log: string[] = [];
  const { graph: after, notes } = await prune(
    graph,
    null,
    { target: { macs: 0.0001 }, allocation: "global", repair: "none", roundTo: 8 },
    log,
  );
  const nearest = inspect(after).macs / inspect(graph).macs;
  assert.match(notes[0]!.why, /the target macs=0.0001 cannot be met: 0\.\d+ is the nearest, and is kept/);
  assert.ok(notes[0]!.why.includes(nearest.toFixed(3)) && log.some((l) => l.includes("cannot be met")));
  await assert.rejects(
    prune(graph, null, { exclude: ["conv"], allocation: "global" }),
    /exclude names "conv", which has no channels; nearest are "/,
  );
  const b = new NetworkBuilder("one layer", 1);
  const only = b.finish(b.dense(b.flatten(b.input("x", [1, 4, 4])), "fc", 4), "y");
  await assert.rejects(
    prune(only, null, { allocation: "global" }),
    /no channels of this model can be removed:\n[\s\S]*axis 1 of graph output/,
  );
  await assert.rejects(prune(graph, null, { allocation: "sensitivity" }), /allocation sensitivity is measured on data/);
  assert.deepEqual(nearestNames("layr1", ["layer1", "fc", "layer2", "stem"], 2), ["layer1", "layer2"]);
});

test("layers that are no matrix product, or whose inputs say too little, are left as they are, with the reason", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  for (const name of ["lstm", "shufflenet_v2"]) {
    const graph = await read(`${sharedData}topologies/${name}.onnx`);
    const shape = graph.inputs[0]!.shape!.slice(1) as number[];
    const size = shape.reduce((a, b) => a * b, 1);
    const x = Float32Array.from({ length: 8 * size }, (_, i) => Math.sin(i * 1.7));
    const data = fromArrays({ name: "waves", x, dims: shape, y: new Int32Array(8), classes: 2 });
    const o = { target: { macs: 0.7 }, allocation: "global", roundTo: 4, samples: 8 };
    const { graph: after, notes } = await prune(graph, data, o);
    assert.ok(inspect(after).macs <= 0.7 * inspect(graph).macs);
    const left = notes.filter((n) => n.why.includes("not fitted"));
    if (name === "lstm") assert.match(left[0]!.why, /LSTM "\/l\/LSTM": not fitted: it is no plain matrix product/);
    const [values] = Object.values(await run(after, randomFeeds(after)));
    assert.ok((values!.data as Float32Array).every(Number.isFinite), name);
  }
});

test("resnet20-cifar to 48 % of its MACs without training, on 64 images: better than 53.4 %", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const normalize = "0.4914,0.4822,0.4465/0.247,0.2435,0.2616";
  const graph = await read(`${sharedData}models/resnet20-cifar.onnx`);
  const data = limited(await open(`${sharedData}cifar10/data_batch_1.bin.br`, { normalize }), 64);
  const images = await open(`${sharedData}cifar10/test_batch.bin.br`, { normalize });
  const { graph: after } = await prune(graph, data, {
    target: { macs: 0.48 },
    samples: 64,
    roundTo: 8,
    allocation: "uniform",
  });
  const { top1 } = await evaluate(after, images, { engine: ortNode, limit: 500 });
  const macs = inspect(after).macs / inspect(graph).macs;
  t.diagnostic(`${(100 * macs).toFixed(1)} % of the MACs, ${(100 * top1).toFixed(1)} %`);
  assert.ok(macs <= 0.48 && top1 > 0.534, `${macs}, ${top1}`);
});
