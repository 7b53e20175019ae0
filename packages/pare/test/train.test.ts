/** The training loop: it learns, the bytes do not depend on the workers, constraints hold exactly, mistakes are named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dataset } from "../dist/data/dataset.js";
import { fromArrays } from "../dist/data/from-table.js";
import { Random } from "../dist/data/random.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { evaluate } from "../dist/train/evaluate.js";
import type { Codebook, TrainOptions } from "../dist/train/options.js";
import { train } from "../dist/train/train.js";
import { quadrants, smallNet } from "./support/small-training.js";

const data = quadrants(150);
const recipe = {
  data,
  epochs: 2,
  batchSize: 48,
  microBatch: 8,
  learningRate: 0.05,
  seed: 5,
  augment: { shift: 1 },
  weightDecay: { l2: 1e-3 },
} satisfies TrainOptions;
const weights = (graph: Graph, name: string): Float32Array => float32sOf(graph.initializers.get(name)!);

test("learns, and keeps names, opset, inputs and outputs", async () => {
  const graph = smallNet();
  const before = toBytes(graph);
  const validation = quadrants(200, 9);
  const untrained = await evaluate(graph, validation);
  const { graph: trained, history } = await train(graph, {
    data: quadrants(600),
    validation,
    epochs: 6,
    batchSize: 32,
    learningRate: 0.05,
  });
  const { error } = await evaluate(trained, validation);
  assert.ok(untrained.error > 0.5 && error < 0.1, `error ${untrained.error} -> ${error}`);
  assert.equal(error, Math.min(...history.map((h) => h.validation!.error)), "the best epoch's weights are kept");
  assert.ok(history.at(-1)!.loss < history[0]!.loss / 2);
  assert.deepEqual(trained.nodes, graph.nodes);
  assert.deepEqual([trained.inputs, trained.outputs, trained.opsets], [graph.inputs, graph.outputs, graph.opsets]);
  assert.deepEqual([...trained.initializers.keys()], [...graph.initializers.keys()]);
  assert.notDeepEqual(weights(trained, "bn1.running_mean"), weights(graph, "bn1.running_mean"));
  assert.deepEqual(toBytes(graph), before, "the input graph is untouched");
});

test("the trained bytes are the same for 1, 2 and 3 workers, and for two runs", async () => {
  const runs = [];
  for (const workers of [1, 1, 2, 3]) runs.push(toBytes((await train(smallNet(), { ...recipe, workers })).graph));
  for (const run of runs.slice(1)) assert.deepEqual(run, runs[0]);
  const other = toBytes((await train(smallNet(), { ...recipe, seed: 6 })).graph);
  assert.notDeepEqual(other, runs[0], "the seed matters");
});

test("with the whole batch in one run the threads are onnxruntime's own, and the bytes the same", async () => {
  for (const base of [
    recipe,
    { ...recipe, clipNorm: 0.1, masks: new Map([["fc1.weight", new Uint8Array(96 * 16).map((_, i) => i % 2)]]) },
  ]) {
    const runs = [];
    for (const workers of [1, 2, 3])
      runs.push(
        toBytes((await train(smallNet(), { ...base, batchSize: 50, microBatch: 50, epochs: 3, workers })).graph),
      );
    for (const run of runs.slice(1)) assert.deepEqual(run, runs[0]);
  }
});

test("an update inside the gradient run is the same as one outside", async () => {
  // A mask of ones changes nothing but keeps the codebook path; a codebook of all values keeps the update outside.
  const graph = smallNet();
  const values = weights(graph, "fc2.bias");
  const codebooks = new Map([["fc2.bias", { indices: Uint32Array.from(values, (_, i) => i), centroids: values }]]);
  const base: TrainOptions = {
    ...recipe,
    batchSize: 50,
    microBatch: 50,
    optimizer: { kind: "adam" },
    learningRate: 0.01,
  };
  const inside = await train(graph, base);
  const outside = await train(graph, { ...base, codebooks });
  for (const name of ["conv1.weight", "fc1.weight", "fc2.bias"])
    weights(inside.graph, name).forEach((v, i) => {
      assert.ok(Math.abs(v - weights(outside.graph, name)[i]!) < 1e-5, name);
    });
});

test("an error inside a worker's run ends the training with that error", async () => {
  const broken: Dataset = {
    ...data,
    batch: (indices) => {
      const batch = data.batch(indices);
      return { ...batch, labels: batch.labels!.map(() => 9) };
    },
  };
  await assert.rejects(
    train(smallNet(), { ...recipe, data: broken, workers: 2 }),
    /sample \d+: label 9 is outside the model's classes 0\.\.3/,
  );
});

test("running statistics follow ONNX's rule, once per micro-batch in order", async () => {
  const { graph } = await train(smallNet(), {
    data: quadrants(24),
    epochs: 1,
    batchSize: 24,
    microBatch: 8,
    learningRate: 0,
    seed: 5,
  });
  // With rate 0 the weights stand still, so each micro-batch's statistics can be computed from the first layer alone.
  const net = draft(smallNet());
  net.nodes = net.nodes.slice(0, 1);
  const y = net.nodes[0]!.outputs[0]!;
  net.outputs = [{ name: y, type: "float32", shape: null }];
  const session = await ortNode.load(net);
  const { shuffle } = await import("../dist/data/shuffle.js");
  const order = shuffle(24, 5, 0);
  const [mean, variance] = [new Float64Array(6), new Float64Array(6).fill(1)];
  for (let k = 0; k < 3; k++) {
    const x = quadrants(24).batch(order.subarray(k * 8, k * 8 + 8)).inputs[0]!;
    const values = (await session.run({ x }))[y]!.data as Float32Array;
    for (let c = 0; c < 6; c++) {
      const channel = Array.from({ length: 8 * 64 }, (_, i) => values[(Math.floor(i / 64) * 6 + c) * 64 + (i % 64)]!);
      const m = channel.reduce((s, v) => s + v, 0) / channel.length;
      const v = channel.reduce((s, u) => s + (u - m) ** 2, 0) / channel.length;
      mean[c] = 0.9 * mean[c]! + 0.1 * m;
      variance[c] = 0.9 * variance[c]! + 0.1 * v;
    }
  }
  weights(graph, "bn1.running_mean").forEach((v, c) => {
    assert.ok(Math.abs(v - mean[c]!) < 1e-5, `mean ${v} ${mean[c]}`);
  });
  weights(graph, "bn1.running_var").forEach((v, c) => {
    assert.ok(Math.abs(v - variance[c]!) < 1e-5, `var ${v} ${variance[c]}`);
  });
});

for (const optimizer of [
  { kind: "sgd", momentum: 0.9, nesterov: true },
  { kind: "adamw" },
  { kind: "rmsprop", momentum: 0.5 },
] as const) {
  test(`masked weights stay exactly 0, frozen ones as they are (${optimizer.kind})`, async () => {
    const graph = smallNet();
    const mask = Uint8Array.from(weights(graph, "fc1.weight"), (_, i) => (i % 3 === 0 ? 1 : 0));
    const masks = new Map([["fc1.weight", mask]]);
    const learningRate = optimizer.kind === "sgd" ? 0.05 : 0.005;
    const weightDecay = { l1: 1e-3, l2: 1e-3, decoupled: 0.01 };
    const frozen = ["conv1.weight", "bn1.bias"];
    const result = await train(graph, { ...recipe, optimizer, learningRate, weightDecay, masks, frozen });
    const trained = weights(result.graph, "fc1.weight");
    const old = weights(graph, "fc1.weight");
    trained.forEach((v, i) => {
      if (mask[i]) assert.notEqual(v, old[i]);
      else assert.ok(Object.is(v, 0), `element ${i} is ${v}`);
    });
    for (const name of frozen) assert.deepEqual(weights(result.graph, name), weights(graph, name));
    assert.deepEqual(result.masks, masks);
  });
}

test("masks may change between epochs; what they take forgets its momentum", async () => {
  const seen: number[] = [];
  const half = (keep: number) => (_: unknown, i: number) => (i % keep === 0 ? 1 : 0);
  const result = await train(smallNet(), {
    ...recipe,
    epochs: 3,
    remask(epoch, values, masks) {
      seen.push(epoch);
      const w = values.get("fc1.weight")!;
      if (epoch === 2) assert.ok(w.every((v, i) => i % 2 === 0 || v === 0));
      if (epoch === 2) assert.equal(masks.get("fc1.weight")!.length, w.length);
      return epoch === 0 ? null : new Map([["fc1.weight", Uint8Array.from(w, half(epoch === 1 ? 2 : 4))]]);
    },
  });
  assert.deepEqual(seen, [0, 1, 2]);
  const w = weights(result.graph, "fc1.weight");
  assert.ok(w.every((v, i) => (i % 4 === 0 ? v !== 0 : Object.is(v, 0))));
});

test("codebooks: weights keep sharing values, the fixed centroid stays, the others move by the summed gradient", async () => {
  const graph = smallNet();
  const old = weights(graph, "fc1.weight");
  const indices = Uint32Array.from(old, (_, i) => i % 5);
  const centroids = Float32Array.of(0, -0.2, -0.1, 0.1, 0.2);
  const codebooks = new Map<string, Codebook>([["fc1.weight", { indices, centroids, fixed: 0 }]]);
  const options: TrainOptions = {
    data: quadrants(16),
    epochs: 1,
    batchSize: 16,
    microBatch: 16,
    learningRate: 0.1,
    optimizer: { kind: "sgd" },
    codebooks,
  };
  const result = await train(graph, options);
  const trained = result.codebooks.get("fc1.weight")!;
  assert.equal(trained[0], 0);
  weights(result.graph, "fc1.weight").forEach((v, i) => {
    assert.equal(v, trained[indices[i]!]);
  });
  // The same step with the weights untied: each centroid moves by the sum of its members' moves.
  const untied = draft(graph);
  untied.initializers.set(
    "fc1.weight",
    floats(
      Float32Array.from(indices, (k) => centroids[k]!),
      graph.initializers.get("fc1.weight")!.dims,
    ),
  );
  const { codebooks: _, ...rest } = options;
  const free = weights((await train(untied, rest)).graph, "fc1.weight");
  for (let k = 1; k < 5; k++) {
    let sum = 0;
    for (let i = 0; i < free.length; i++) if (indices[i] === k) sum += free[i]! - centroids[k]!;
    const moved = trained[k]! - centroids[k]!;
    assert.ok(moved !== 0 && Math.abs(moved - sum) < 1e-5, `centroid ${k} moved by ${moved}, its members by ${sum}`);
  }
});

test("soft targets: a teacher's logits from a table and from inside the graph give the same training", async () => {
  const { graph: teacher } = await train(smallNet(2), {
    data: quadrants(600),
    epochs: 4,
    batchSize: 32,
    learningRate: 0.05,
  });
  const softTargets = { teacher, temperature: 2, weight: 1 };
  const base: TrainOptions = {
    data: quadrants(96),
    epochs: 1,
    batchSize: 32,
    microBatch: 16,
    learningRate: 0.05,
    softTargets,
    dropout: { drop: 0 },
  };
  const table = await train(smallNet(), base);
  // A shift of 0 changes no image, but an augmentation means that nothing is computed ahead.
  const inside = await train(smallNet(), { ...base, augment: { shift: 0 } });
  const [a, b] = [weights(table.graph, "fc1.weight"), weights(inside.graph, "fc1.weight")];
  assert.ok(a.every((v, i) => Math.abs(v - b[i]!) < 1e-5));
  // Nothing to learn from oneself.
  const self = await train(teacher, {
    ...base,
    softTargets: { ...softTargets, teacher },
    learningRate: 0.01,
    epochs: 1,
    frozen: ["bn1.weight", "bn1.bias"],
  });
  assert.ok(self.history[0]!.loss < table.history[0]!.loss / 3, `${self.history[0]!.loss} ${table.history[0]!.loss}`);
});

test("losses: mean squared error and squared hinge on labels, a user's own on labels, regression on targets", async () => {
  for (const loss of ["mse", "squared-hinge"] as const) {
    const { history } = await train(smallNet(), {
      data: quadrants(300),
      epochs: 4,
      batchSize: 30,
      loss,
      learningRate: 0.05,
      validation: quadrants(100, 8),
    });
    assert.ok(history.at(-1)!.loss < history[0]!.loss, loss);
    assert.ok(history.at(-1)!.validation!.loss < 2);
  }
  const own = await train(smallNet(), {
    data: quadrants(300),
    validation: quadrants(60, 8),
    epochs: 3,
    batchSize: 30,
    learningRate: 0.05,
    loss: (g, [y], targets) => {
      const p = g.op("LogSoftmax", [y!], { axis: -1 });
      const rows = g.op("Unsqueeze", [targets, g.ints([1])]);
      return g.op("Neg", [g.op("ReduceMean", [g.op("GatherElements", [p, rows], { axis: 1 })], { keepdims: 0 })]);
    },
  });
  const same = await train(smallNet(), {
    data: quadrants(300),
    validation: quadrants(60, 8),
    epochs: 3,
    batchSize: 30,
    learningRate: 0.05,
  });
  own.history.forEach((h, i) => {
    assert.ok(Math.abs(h.loss - same.history[i]!.loss) < 1e-3);
    assert.ok(Math.abs(h.validation!.loss - same.history[i]!.validation!.loss) < 1e-2);
  });

  const { inputs } = quadrants(200).batch(Uint32Array.from({ length: 200 }, (_, i) => i));
  const x = inputs[0]!.data as Float32Array;
  const targets = Float32Array.from({ length: 800 }, (_, i) => x[Math.floor(i / 4) * 128 + (i % 4)]!);
  const regression = fromArrays({ name: "pixels", x, dims: [2, 8, 8], targets, targetDims: [4] });
  const { history } = await train(smallNet(), {
    data: regression,
    loss: "mse",
    epochs: 6,
    batchSize: 20,
    learningRate: 0.02,
    validation: regression,
  });
  assert.ok(history.at(-1)!.loss < history[0]!.loss / 2);
  assert.ok(Number.isNaN(history[0]!.validation!.error));
});

test("a graph that wants channels last, its weights in Constant nodes, trains on images with channels first, shifted ones too", async () => {
  const random = new Random(5);
  const y = Int32Array.from({ length: 96 }, (_, i) => i % 3);
  // Class k is bright in channel k.
  const x = Float32Array.from({ length: 96 * 3 * 36 }, (_, i) => {
    const [sample, channel] = [Math.floor(i / 108), Math.floor(i / 36) % 3];
    return random.uniform() + (y[sample] === channel ? 1 : 0);
  });
  const data = fromArrays({ x, dims: [3, 6, 6], y });
  const graph = emptyGraph("nhwc", 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 6, 6, 3] });
  const weight = floats(
    Float32Array.from({ length: 9 }, () => random.uniform() - 0.5),
    [3, 3],
  );
  graph.nodes.push(node("Constant", [], ["w"], { value: { kind: "tensor", value: weight } }));
  const mean = g.op("ReduceMean", ["x", g.ints([1, 2])], { keepdims: 0 });
  graph.outputs.push({ name: g.op("MatMul", [mean, "w"]), type: "float32", shape: ["n", 3] });
  for (const augment of [undefined, { shift: 1 }]) {
    const trained = await train(graph, {
      data,
      epochs: 30,
      batchSize: 32,
      learningRate: 1,
      ...(augment ? { augment } : {}),
    });
    assert.deepEqual(trained.graph.initializers.get("w")?.dims, [3, 3]);
    assert.equal((await evaluate(trained.graph, data)).error, 0);
  }
});

test("mistakes are named", async () => {
  const graph = smallNet();
  const nan = draft(graph);
  nan.initializers.set("fc2.bias", floats(Float32Array.of(0, Number.NaN, 0, 0), [4]));
  const wrongShape = fromArrays({ x: new Float32Array(27), dims: [3, 3, 3], y: [0] });
  const cases: [Partial<TrainOptions>, RegExp, Graph?][] = [
    [{}, /initialiser "fc2.bias" holds NaN at element 1/, nan],
    [{ learningRate: 1e30 }, /the loss is (NaN|Infinity|-Infinity) at step \d+ of \d+.*lower the learning rate/],
    [{ data: wrongShape }, /input "x" wants \[n,2,8,8\], .* holds samples of \[3,3,3\]/],
    [{ epochs: 0 }, /epochs 0/],
    [{ microBatch: 7 }, /batchSize 48 should be a multiple of microBatch 7/],
    [{ workers: 0 }, /workers 0/],
    [{ dropout: { nothing: 0.5 } }, /no Dropout node named "nothing"/],
    [{ dropout: { drop: 1 } }, /ratio 1 is outside/],
    [{ masks: new Map([["fc9", new Uint8Array(1)]]) }, /mask for "fc9"/],
    [{ masks: new Map([["fc1.weight", new Uint8Array(1)]]) }, /mask of "fc1.weight" has 1 elements/],
    [{ frozen: [...graph.initializers.keys()] }, /nothing to train/],
    [{ optimizer: { kind: "sgd", momentum: 1.5 } }, /momentum 1.5/],
    [{ learningRate: Number.NaN }, /learning rate NaN/],
    [{ clipNorm: 0 }, /clipNorm 0/],
    [{ augment: { shift: 8 } }, /shift 8/],
    [{ softTargets: { teacher: graph, temperature: 0, weight: 1 } }, /temperature 0/],
  ];
  for (const [options, message, model] of cases)
    await assert.rejects(train(model ?? graph, { ...recipe, ...options }), (e: Error) => {
      assert.equal(e.name, "PareError");
      assert.match(e.message, message);
      return true;
    });
});

test("an abort ends the training with the signal's reason", async () => {
  const stop = new AbortController();
  const running = train(smallNet(), {
    ...recipe,
    epochs: 50,
    workers: 2,
    signal: stop.signal,
    onProgress: ({ step }) => step === 5 && stop.abort(new Error("enough")),
  });
  await assert.rejects(running, /enough/);
});

test("progress counts every step and foresees the end", async () => {
  const steps: number[] = [];
  await train(smallNet(), {
    ...recipe,
    onProgress: (p) => {
      steps.push(p.step);
      // 150 samples in micro-batches of 8: three batches of 48, and no whole micro-batch left.
      assert.equal(p.steps, 6);
      assert.ok(p.secondsLeft >= 0 && Number.isFinite(p.loss));
    },
  });
  assert.deepEqual(steps, [1, 2, 3, 4, 5, 6]);
});
