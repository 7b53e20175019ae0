/** SparseGPT from the outside: against least squares where the two agree, against pruning by size, and its patterns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dataset } from "../dist/data/dataset.js";
import { fromArrays } from "../dist/data/from-table.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { node } from "../dist/graph/emit.js";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { sparsegpt } from "../dist/methods/prune/sparsegpt.js";
import { type PruneOptions, prune } from "../dist/prune.js";
import { blobs } from "./support/blobs.js";
import { run } from "./support/cut-proof.js";
import { randomFrom } from "./support/expose.js";

const [inputs, outputs, samples] = [8, 5, 400];
/** y = x W, W [k o], with inputs that lean on one another. */
function layer(): { graph: Graph; data: Dataset; x: Float32Array; w: Float32Array } {
  const random = randomFrom(4);
  const x = new Float32Array(samples * inputs);
  for (let s = 0; s < samples; s++) {
    const common = random() - 0.5;
    for (let i = 0; i < inputs; i++) x[s * inputs + i] = common + random() - 0.5;
  }
  // The first four inputs' weights are small: they go, and those behind them can make up for all of it.
  const w = Float32Array.from({ length: inputs * outputs }, (_, i) => (i < 4 * outputs ? 0.05 : 1) * (random() + 0.5));
  const graph = emptyGraph("layer", 21);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", inputs] });
  graph.initializers.set("w", floats(w, [inputs, outputs]));
  graph.nodes.push(node("MatMul", ["x", "w"], ["y"]));
  graph.outputs.push({ name: "y", type: "float32", shape: ["n", outputs] });
  return {
    graph,
    data: fromArrays({ name: "x", x, dims: [inputs], y: new Int32Array(samples), classes: outputs }),
    x,
    w,
  };
}
const ask = (graph: Graph, data: Dataset, options: object): ReturnType<typeof prune> =>
  prune(graph, { method: "sparsegpt", options: { samples, ...options }, data, engine: ortNode });
const weightOf = (graph: Graph): Float32Array => float32sOf(graph.initializers.get("w")!);

/** Solves A x = b by Gaussian elimination. */
function solve(a: number[][], b: number[]): number[] {
  const n = b.length;
  const m = a.map((row, i) => [...row, b[i]!]);
  for (let p = 0; p < n; p++)
    for (let r = 0; r < n; r++) {
      if (r === p) continue;
      const f = m[r]![p]! / m[p]![p]!;
      for (let c = p; c <= n; c++) m[r]![c]! -= f * m[p]![c]!;
    }
  return m.map((row, i) => row[n]! / row[i]!);
}

test("where the first columns go, the others are the least squares solution; so they are with refit whatever goes", async () => {
  const { graph, data, x, w } = layer();
  for (const refit of [false, true]) {
    const { graph: pruned } = await ask(graph, data, { sparsity: 0.5, damping: 1e-9, refit });
    const found = weightOf(pruned);
    const dot = (i: number, j: number): number => {
      let sum = 0;
      for (let s = 0; s < samples; s++) sum += x[s * inputs + i]! * x[s * inputs + j]!;
      return sum;
    };
    const kept = [4, 5, 6, 7];
    for (let o = 0; o < outputs; o++) {
      const a = kept.map((i) => kept.map((j) => dot(i, j)));
      const b = kept.map((i) => w.reduce((sum, _, k) => (k < inputs ? sum + dot(i, k) * w[k * outputs + o]! : sum), 0));
      const expected = solve(a, b);
      for (let i = 0; i < 4; i++) assert.equal(found[i * outputs + o], 0);
      kept.forEach((i, k) => {
        assert.ok(
          Math.abs(found[i * outputs + o]! - expected[k]!) < 1e-3,
          `${refit} ${i} ${o}: ${found[i * outputs + o]}, ${expected[k]}`,
        );
      });
    }
  }
});

test("n:m patterns hold in every row; a pattern that keeps nothing is refused", async () => {
  const { graph, data } = layer();
  const { graph: pruned, facts } = await ask(graph, data, { pattern: "2:4" });
  const w = weightOf(pruned);
  for (let o = 0; o < outputs; o++)
    for (const from of [0, 4])
      assert.equal([0, 1, 2, 3].filter((i) => w[(from + i) * outputs + o] === 0).length, 2, `${o} ${from}`);
  assert.deepEqual(facts.nonzero, [inputs * outputs, (inputs * outputs) / 2]);
  await assert.rejects(ask(graph, data, { pattern: "4:4" }), /n is below m/);
  await assert.rejects(ask(graph, data, { exclude: ["v"] }), /"v", which is no layer; nearest are "w", "y"/);
  await assert.rejects(prune(graph, { method: "sparsegpt" }), /measured on data/);
});

test("a convolutional network: what is asked for goes, and its outputs change less than by size alone", async () => {
  const b = new NetworkBuilder("small", 1);
  const stem = b.relu(b.conv(b.input("x", [1, 12, 12]), "conv1", 16, 3, { pad: 1 }), "relu1");
  const inner = b.relu(b.batchNorm(b.conv(stem, "conv2", 16, 3, { pad: 1, bias: false }), "bn"), "relu2");
  const graph = b.finish(b.dense(b.flatten(b.maxPool(b.add(inner, stem, "sum"), "pool", 6)), "fc", 10), "y");
  const data = blobs(48, [1, 12, 12], 3);
  const feeds = { x: blobs(24, [1, 12, 12], 8).batch([...Array(24).keys()]).inputs[0]! };
  const values = async (g: Graph): Promise<Float32Array> => Object.values(await run(g, feeds))[0]!.data as Float32Array;
  const dense = await values(graph);
  const change = async (o: PruneOptions): Promise<number> => {
    const { graph: pruned, facts } = await prune(graph, { data, engine: ortNode, ...o });
    assert.ok(
      Math.abs(facts.nonzero[1] / facts.nonzero[0] - 0.4) < 0.02,
      `${JSON.stringify(o.options)}: ${facts.nonzero}`,
    );
    const after = await values(pruned);
    return dense.reduce((sum, v, i) => sum + (v - after[i]!) ** 2, 0) / dense.reduce((sum, v) => sum + v * v, 0);
  };
  const common = { sparsity: 0.6, samples: 48 };
  const size = await change({ method: "magnitude", options: { ...common, criterion: "layer", train: { epochs: 0 } } });
  const wanda = await change({ method: "magnitude", options: { ...common, criterion: "wanda", train: { epochs: 0 } } });
  const once = await change({ method: "sparsegpt", options: { ...common, refit: false } });
  const refit = await change({ method: "sparsegpt", options: common });
  assert.ok(
    once < 0.5 * size && once < wanda && refit < once,
    `size ${size}, Wanda ${wanda}, once ${once}, refit ${refit}`,
  );
  assert.ok(sparsegpt.options.parse({}).refit);
});
