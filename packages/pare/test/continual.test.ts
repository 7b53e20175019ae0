/** Penalties that keep what was learned, and the path that synaptic intelligence is made of: against closed forms, and on two tasks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dataset } from "../dist/data/dataset.js";
import { open } from "../dist/data/open.js";
import { ortNode } from "../dist/engine/ort-node.js";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { importance } from "../dist/importance/importance.js";
import { type PenaltyKind, penaltyOf } from "../dist/importance/penalty.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { evaluate } from "../dist/train/evaluate.js";
import type { Penalty } from "../dist/train/options.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";

function net(): Graph {
  const b = new NetworkBuilder("small", 5);
  const hidden = b.relu(b.dense(b.flatten(b.input("x", [1, 12, 12])), "fc1", 32), "relu");
  return b.finish(b.dense(hidden, "fc2", 4), "y");
}
const data = blobs(256, [1, 12, 12], 1);
const names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
const valuesOf = (g: Graph, name: string): Float32Array => float32sOf(g.initializers.get(name)!);
const loss = async (g: Graph): Promise<number> => (await evaluate(g, data, { engine: ortNode })).loss;
const whole = { data, batchSize: 256, engine: ortNode, keepBest: false } as const;

test("along small steps the path's work is the fall of the loss; a weight's is rate x gradient squared", async () => {
  const graph = net();
  const result = await train(graph, {
    ...whole,
    microBatch: 256,
    epochs: 40,
    optimizer: { kind: "sgd" },
    learningRate: 0.02,
    path: true,
  });
  const { work, start } = result.path!;
  let total = 0;
  for (const name of names) {
    assert.deepEqual(start.get(name), valuesOf(graph, name));
    for (const w of work.get(name)!) {
      assert.ok(w >= 0, name);
      total += w;
    }
  }
  const fall = (await loss(graph)) - (await loss(result.graph));
  assert.ok(fall > 0.05 && Math.abs(total / fall - 1) < 0.05, `${total} of ${fall}`);
  const scores = await importance(result.graph, null, "si", { path: result.path! });
  assert.deepEqual([...scores.keys()], ["fc1.weight", "fc2.weight"]);
});

test("recording changes no byte of the result, and does not depend on the number of workers", async () => {
  const o = { ...whole, batchSize: 64, microBatch: 16, epochs: 2, learningRate: 0.05, seed: 3 } as const;
  const bare = await train(net(), o);
  const [one, two] = [await train(net(), { ...o, path: true }), await train(net(), { ...o, path: true, workers: 2 })];
  for (const name of names) {
    assert.deepEqual(valuesOf(one.graph, name), valuesOf(bare.graph, name));
    assert.deepEqual(one.path!.work.get(name), two.path!.work.get(name));
  }
  assert.equal(bare.path, undefined);
});

test("one step under a penalty differs by rate x strength x importance x distance, fused or not", async () => {
  const graph = net();
  const anchor = new Map(names.map((n) => [n, valuesOf(graph, n).map((v) => v - 0.5)]));
  const weights = new Map(names.map((n) => [n, valuesOf(graph, n).map((_, i) => (i % 3) / 2)]));
  const penalty = { strength: 0.8, importance: weights, anchor };
  for (const microBatch of [256, 64]) {
    const o = { ...whole, microBatch, epochs: 1, optimizer: { kind: "sgd" }, learningRate: 0.1 } as const;
    const [free, held] = [await train(graph, o), await train(graph, { ...o, penalty })];
    for (const name of names) {
      const [a, b] = [valuesOf(free.graph, name), valuesOf(held.graph, name)];
      a.forEach((v, i) => {
        const expected = 0.1 * 0.8 * ((i % 3) / 2) * 0.5;
        assert.ok(Math.abs(v - b[i]! - expected) < 1e-5, `${name}[${i}]: ${v - b[i]!} instead of ${expected}`);
      });
    }
  }
  const bad = { ...penalty, importance: new Map([["fc9", new Float32Array(1)]]) };
  await assert.rejects(train(graph, { ...whole, epochs: 1, penalty: bad }), /"fc9" is not a trained initialiser/);
  await assert.rejects(penaltyOf(graph, data, "best" as PenaltyKind, { strength: 1 }), /there are ewc, si, mas/);
});

/** The same images with their pixels in another order: another task. */
const permuted = (of: Dataset): Dataset => ({
  ...of,
  name: "permuted",
  batch(indices) {
    const b = of.batch(indices);
    const x = b.inputs[0]!;
    const from = x.data as Float32Array;
    const to = Float32Array.from(from, (_, i) => from[i - (i % 784) + (((i % 784) * 89 + 31) % 784)]!);
    return { ...b, inputs: [{ ...x, data: to }] };
  },
});

test("MNIST, then MNIST with its pixels permuted: under each penalty the first is kept better, and the second is learned", async (t) => {
  const digits = await open("mnist", { limit: 2000 });
  const b = new NetworkBuilder("digits", 5);
  const hidden = b.relu(b.dense(b.flatten(b.input("x", [1, 28, 28])), "fc1", 20), "relu");
  const graph = b.finish(b.dense(hidden, "fc2", 10), "y");
  const o = { batchSize: 32, optimizer: { kind: "sgd", momentum: 0.9 }, engine: ortNode, keepBest: false } as const;
  const first = await train(graph, { ...o, data: digits, epochs: 5, learningRate: 0.05, path: true });
  const second = permuted(digits);
  const after = async (penalty?: Penalty): Promise<number[]> => {
    const task = { ...o, data: second, epochs: 5, learningRate: 0.1, ...(penalty ? { penalty } : {}) };
    const { graph: both } = await train(first.graph, task);
    const errors = [digits, second].map(async (d) => (await evaluate(both, d, { engine: ortNode })).error);
    return Promise.all(errors);
  };
  const [forgotten] = await after();
  for (const [kind, strength] of [
    ["ewc", 30],
    ["si", 0.3],
    ["mas", 0.02],
  ] as const) {
    const penalty = await penaltyOf(first.graph, digits, kind, { strength, path: first.path!, engine: ortNode });
    const [before, now] = await after(penalty);
    t.diagnostic(`${kind}: first task ${before} (without ${forgotten}), second ${now}`);
    assert.ok(before! < 0.7 * forgotten! && now! < 0.2, `${kind}: ${before} of ${forgotten}, second ${now}`);
  }
});
