/** The built-in networks: exact counts, seeded bytes, readable names, and the same function in onnxruntime as said here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf, sizeOf } from "../dist/graph/tensor.js";
import { network, networkNames } from "../dist/methods/architecture/networks.js";

/** Trained numbers: weights, biases, scales and shifts (not running statistics, not constants of the graph). */
const parameters = (graph: Graph): number =>
  [...graph.initializers].reduce((sum, [name, t]) => sum + (/\.(weight|bias)$/.test(name) ? sizeOf(t.dims) : 0), 0);

test("parameter counts are the published ones", () => {
  const counts = Object.fromEntries(networkNames.map((name) => [name, parameters(network(name))]));
  assert.deepEqual(counts, { "lenet-300-100": 266_610, "lenet-5": 431_080 });
});

test("the same seed gives the same bytes, another seed others", () => {
  for (const name of networkNames) {
    const [a, b, c] = [network(name, { seed: 3 }), network(name, { seed: 3 }), network(name, { seed: 4 })];
    assert.deepEqual(a, b);
    assert.notDeepEqual(a.initializers, c.initializers);
  }
});

test("weights are uniform within the bound of their initialisation", () => {
  const w = float32sOf(network("lenet-300-100", { seed: 1 }).initializers.get("fc1.weight")!);
  const bound = Math.sqrt(6 / 784);
  const variance = w.reduce((s, v) => s + v * v, 0) / w.length;
  assert.ok(w.every((v) => Math.abs(v) <= bound));
  assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 0.01);
});

test("dropout nodes appear where asked for", () => {
  const drops = (name: string, dropout: number): string[] =>
    network(name, { dropout })
      .nodes.filter((n) => n.op === "Dropout")
      .map((n) => n.name);
  assert.deepEqual(drops("lenet-300-100", 0.5), ["dropout1", "dropout2"]);
  assert.deepEqual(drops("lenet-5", 0.5), ["dropout1"]);
  assert.deepEqual(drops("lenet-5", 0), []);
  assert.throws(() => network("lenet-5", { dropout: 1 }), /dropout ratio 1/);
  assert.throws(() => network("lenet-6"), /"lenet-6": there are lenet-300-100, lenet-5/);
});
