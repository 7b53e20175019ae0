/** Samples that share a run: a batch that is fixed at one is opened where each answer is its own, and nowhere else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { calibrate } from "../dist/calibrate/calibrate.js";
import { secondMoments } from "../dist/calibrate/moments.js";
import { together } from "../dist/calibrate/together.js";
import { samplesOf } from "../dist/data/open-samples.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { blobs } from "./support/blobs.js";

const dims = [2, 4, 4] as const;
const data = blobs(20, dims, 1);

/** [1, 2, 4, 4] -> Conv -> [1, 48] -> Softmax along this axis -> [1, 48]. */
function net(axis: number): Graph {
  const graph = emptyGraph("net", 17);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: [1, ...dims] });
  const w = g.constant(
    floats(
      Float32Array.from({ length: 6 }, (_, i) => ((i * 37) % 19) / 19 - 0.5),
      [3, 2, 1, 1],
    ),
  );
  g.push(node("Conv", ["x", w], ["c"]));
  g.push(node("Reshape", ["c", g.ints([1, 48])], ["f"]));
  g.push(node("Softmax", ["f"], ["y"], { axis }));
  graph.outputs.push({ name: "y", type: "float32", shape: [1, 48] });
  return graph;
}
const alone = (samples: Samples): Samples => ({ ...samples, batch: () => null });

test("a fixed batch of one is opened, and statistics and moments are those of single runs", async () => {
  const graph = net(1);
  const samples = samplesOf(data, graph);
  assert.ok(samples.batch([0, 1]), "values with a first axis of one can be put together");
  const { graph: open, most } = await together(graph, samples, ortNode);
  assert.equal(most, 16);
  assert.equal(typeof open.inputs[0]!.shape![0], "string");
  const wanted = new Map(["x", "c", "y"].map((name) => [name, { histogram: 64 }] as const));
  const [several, single] = await Promise.all(
    [samples, alone(samples)].map((s) => calibrate(net(1), wanted, s, { engine: ortNode })),
  );
  for (const [name, s] of single!) {
    const other = several!.get(name)!;
    assert.deepEqual([other.min, other.max], [s.min, s.max], name);
    assert.deepEqual(other.histogram, s.histogram, name);
  }
  const [a, b] = await Promise.all(
    [samples, alone(samples)].map((s) => secondMoments(graph, ["c"], s, { engine: ortNode })),
  );
  const [x, y] = [a!.get("c")!, b!.get("c")!];
  assert.equal(x.rows, y.rows);
  for (const [i, v] of y.products.entries()) assert.ok(Math.abs(x.products[i]! - v) < 1e-4 * (1 + Math.abs(v)));
});

test("a graph that mixes what shares a run stays closed, though its shapes would follow", async () => {
  const graph = net(0);
  const samples = samplesOf(data, graph);
  assert.deepEqual(await together(graph, samples, ortNode), { graph, most: 1 });
});
