/** What every method is held to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dataset } from "../dist/data/dataset.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { network } from "../dist/methods/architecture/networks.js";
import type { MethodResult, Tools } from "../dist/methods/method.js";
import { methodOf, methods } from "../dist/methods/registry.js";
import { weightsOf } from "../dist/methods/weights.js";
import { evaluate } from "../dist/train/evaluate.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";
import { sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";

const none = { masks: new Map(), codebooks: new Map() };
function toolsOn(
  dense: Graph,
  data: Dataset,
  validation: Dataset,
  constraints: Tools["constraints"] = none,
  limit?: number,
): Tools {
  return {
    engine: ortNode,
    data,
    validation,
    dense,
    constraints,
    seed: 5,
    ...(limit === undefined ? {} : { limit }),
    train: (graph, options) =>
      train(graph, {
        masks: constraints.masks,
        codebooks: constraints.codebooks,
        ...options,
        data,
        validation,
        seed: 5,
        engine: ortNode,
      }),
    settled: (work) => work(),
    evaluate: (graph) => evaluate(graph, validation, { engine: ortNode }),
    log: () => {},
  };
}
const apply = (id: string, graph: Graph, options: unknown, tools: Tools): Promise<MethodResult> => {
  const m = methodOf(id)!;
  return m.apply(graph, m.options.parse(options), tools);
};
const border = (g: Graph) => [g.inputs, g.outputs].map((l) => l.map((v) => [v.name, v.type, v.shape]));

function small(): Graph {
  const b = new NetworkBuilder("small", 3);
  const hidden = b.relu(b.dense(b.flatten(b.input("x", [1, 28, 28])), "fc1", 40), "relu1");
  return b.finish(b.dense(hidden, "fc2", 4, { init: "glorot" }), "logits");
}

const cases = [
  { name: "cnn-small", graph: network("cnn-small", { seed: 1 }), dims: [1, 28, 28] },
  { name: "depthwise", graph: network("depthwise", { seed: 1 }), dims: [3, 32, 32] },
  { name: "resnet-20", graph: network("resnet-20", { seed: 1 }), dims: [3, 32, 32] },
] as const;

for (const { name, graph, dims } of cases) {
  const data = blobs(32, dims, 1);
  for (const m of methods) {
    test(`${m.id} at zero changes nothing of ${name}`, async () => {
      const { graph: after } = await apply(m.id, graph, m.atZero, toolsOn(graph, data, data));
      assert.deepEqual(toBytes(after), toBytes(graph));
    });
  }
  test(`prune, then share values of ${name}: borders and the input graph stay, the same seed gives the same bytes, masks hold`, async () => {
    const before = toBytes(graph);
    const options = { epochs: 2, batchSize: 16, microBatch: 8, optimizer: "adam", learningRate: 0.001 };
    const run = async () => {
      const pruned = await apply(
        "prune/magnitude",
        graph,
        { sparsity: 0.8, steps: 2, train: options },
        toolsOn(graph, data, data),
      );
      const constraints = { ...none, ...pruned.constraints };
      const shared = await apply(
        "quantize/cluster",
        pruned.graph,
        { lossRise: 0.01, samples: 8, train: { ...options, epochs: 1 } },
        toolsOn(graph, data, data, constraints),
      );
      return { pruned, shared };
    };
    const [{ pruned, shared }, again] = [await run(), await run()];
    assert.deepEqual(toBytes(graph), before);
    assert.deepEqual(border(shared.graph), border(graph));
    assert.deepEqual(toBytes(again.shared.graph), toBytes(shared.graph));
    const weights = weightsOf(graph).weights;
    const total = weights.reduce((n, w) => n + w.values.length, 0);
    let alive = 0;
    for (const { name: weight } of weights) {
      const mask = pruned.constraints!.masks!.get(weight)!;
      const [p, s] = [pruned.graph, shared.graph].map((g) => float32sOf(g.initializers.get(weight)!));
      const book = shared.constraints!.codebooks!.get(weight)!;
      for (let i = 0; i < mask.length; i++) {
        if (!mask[i]) assert.ok(p![i] === 0 && s![i] === 0, `${weight}[${i}] is masked and not zero`);
        assert.equal(s![i], book.centroids[book.indices[i]!]);
      }
      assert.ok(new Set(s!).size <= book.centroids.length);
      alive += mask.filter((m) => m === 1).length;
    }
    assert.ok(Math.abs(alive / total - 0.2) < 0.001, `${alive} of ${total} alive`);
    await toolsOn(graph, data, data).evaluate(shared.graph);
  });
}

test("every criterion removes what it is asked to; std what lies below q standard deviations", async () => {
  const graph = network("cnn-small", { seed: 1 });
  const tools = toolsOn(graph, blobs(64, [1, 28, 28], 1), blobs(16, [1, 28, 28], 1));
  const { weights } = weightsOf(graph);
  const prune = async (options: object) =>
    weightsOf((await apply("prune/magnitude", graph, { ...options, samples: 16, train: { epochs: 0 } }, tools)).graph)
      .weights;
  const zeros = (list: typeof weights) => list.map((w) => w.values.filter((v) => v === 0).length);
  const total = weights.reduce((n, w) => n + w.values.length, 0);
  for (const criterion of ["layer", "global", "lamp", "fisher"]) {
    const gone = zeros(await prune({ criterion, sparsity: 0.7 }));
    assert.ok(Math.abs(gone.reduce((a, b) => a + b) / total - 0.7) < 1e-4, criterion);
    if (criterion !== "layer") continue;
    for (const [i, n] of gone.entries()) assert.ok(Math.abs(n / weights[i]!.values.length - 0.7) < 0.01);
  }
  const byStd = await prune({ criterion: "std", quality: 0.5 });
  byStd.forEach((w, i) => {
    const before = weights[i]!.values;
    const deviation = Math.sqrt(
      before.reduce((s, v) => s + v * v, 0) / before.length - (before.reduce((s, v) => s + v, 0) / before.length) ** 2,
    );
    for (const [k, v] of before.entries()) assert.equal(w.values[k], Math.abs(v) >= 0.5 * deviation ? v : 0);
  });
  const [first] = weights;
  const own = zeros(await prune({ criterion: "layer", sparsity: 0.5, layers: { [first!.name]: 0.1 } }));
  assert.equal(own[0], Math.round(first!.values.length * 0.1));
});

test("rate-distortion: a larger budget leaves fewer weights, and the measured rise stays within it", async () => {
  const [data, validation] = [blobs(512, [1, 28, 28], 1), blobs(256, [1, 28, 28], 2)];
  const options = { epochs: 4, batchSize: 32, optimizer: "adam", learningRate: 0.003, softTargets: null } as const;
  const pruned = await apply(
    "prune/magnitude",
    small(),
    { sparsity: 0.8, steps: 2, train: options },
    toolsOn(small(), data, validation),
  );
  const tools = toolsOn(small(), data, validation, { ...none, ...pruned.constraints });
  const before = (await tools.evaluate(pruned.graph)).loss;
  const left: number[] = [];
  for (const lossRise of [0.01, 0.1, 0.4]) {
    const result = await apply(
      "quantize/rate-distortion",
      pruned.graph,
      { lossRise, values: 15, samples: 64, train: { ...options, epochs: 0 } },
      tools,
    );
    const after = (await tools.evaluate(result.graph)).loss;
    // Rounding of centroids and biases to float16 comes on top.
    assert.ok(after - before <= lossRise + 1e-3, `${after - before} against ${lossRise}`);
    left.push(
      [...result.constraints!.codebooks!.values()].reduce((n, b) => n + b.indices.filter((k) => k > 0).length, 0),
    );
  }
  assert.ok(left[0]! > left[1]! && left[1]! > left[2]!, `${left}`);
});

test("with a limit on the error, pruning stops where the limit is", async () => {
  const [data, validation] = [blobs(256, [1, 28, 28], 1), blobs(256, [1, 28, 28], 2)];
  const options = { epochs: 6, batchSize: 32, optimizer: "adam", learningRate: 0.003, softTargets: null } as const;
  const dense = small();
  const { graph } = await apply("train", dense, { train: options }, toolsOn(dense, data, validation));
  const { error } = await evaluate(graph, validation, { engine: ortNode });
  const sparsity = 0.9995;
  const result = await apply(
    "prune/magnitude",
    graph,
    { sparsity, train: options },
    toolsOn(graph, data, validation, none, error + 0.01),
  );
  const after = await evaluate(result.graph, validation, { engine: ortNode });
  assert.ok(after.error <= error + 0.01, `${after.error} against ${error}`);
  const { weights } = weightsOf(result.graph);
  const alive = weights.reduce((n, w) => n + w.values.filter((v) => v !== 0).length, 0);
  const total = weights.reduce((n, w) => n + w.values.length, 0);
  assert.ok(alive < total / 2, "it pruned nothing to speak of");
});

test("what is no float32 initialiser is skipped with its reason", () => {
  const g = draft(network("cnn-small", { seed: 1 }));
  const [first] = weightsOf(g).weights;
  const tensor = g.initializers.get(first!.name)!;
  g.initializers.set(first!.name, {
    ...tensor,
    type: "float16",
    bytes: tensor.bytes.subarray(0, tensor.bytes.length / 2),
  });
  g.nodes.push({ ...g.nodes[0]!, op: "Mystery", domain: "acme", name: "m", inputs: [first!.name], outputs: ["z"] });
  const { weights, skipped } = weightsOf(g);
  assert.ok(weights.every((w) => w.name !== first!.name));
  assert.match(skipped.map((n) => n.why).join("\n"), /float16; only float32[\s\S]*unknown operator/);
});

test("networks of every kind load and run after pruning without training", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  for (const m of sharedModels((x) => x.path.includes("topologies"))) {
    const graph = await read(m.path);
    const { graph: pruned } = await apply(
      "prune/magnitude",
      graph,
      { sparsity: 0.5, train: { epochs: 0 } },
      toolsOn(graph, blobs(4, [1, 4, 4], 1), blobs(4, [1, 4, 4], 1)),
    );
    const { weights } = weightsOf(pruned);
    assert.ok(weights.length > 0, m.name);
    const zeros = weights.reduce((n, w) => n + w.values.filter((v) => v === 0).length, 0);
    assert.ok(Math.abs(zeros / weights.reduce((n, w) => n + w.values.length, 0) - 0.5) < 0.01, m.name);
    const session = await ortNode.load(pruned);
    await session.release();
  }
});
