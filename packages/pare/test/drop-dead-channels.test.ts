import assert from "node:assert/strict";
import { test } from "node:test";
import { couple } from "../dist/analyze/couple.js";
import { groupsOf } from "../dist/analyze/groups.js";
import { ortNode } from "../dist/engine/ort-node.js";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { network } from "../dist/methods/architecture/networks.js";
import { withValues } from "../dist/methods/weights.js";
import { dropDeadChannels } from "../dist/passes/drop-dead-channels.js";
import { blobs } from "./support/blobs.js";

/** Zeroes index `k` of an axis for the given k. */
function without(graph: Graph, name: string, axis: number, dead: (k: number) => boolean): Graph {
  const t = graph.initializers.get(name)!;
  const inner = t.dims.slice(axis + 1).reduce((p, d) => p * d, 1);
  const values = float32sOf(t).map((v, i) => (dead(Math.floor(i / inner) % t.dims[axis]!) ? 0 : v));
  return withValues(graph, new Map([[name, values]]));
}
async function same(a: Graph, b: Graph, dims: readonly [number, number, number]): Promise<void> {
  const { inputs } = blobs(8, dims, 3).batch([0, 1, 2, 3, 4, 5, 6, 7]);
  const [x, y] = await Promise.all(
    [a, b].map(async (g) => {
      const session = await ortNode.load(g);
      const out = await session.run({ x: inputs[0]! });
      await session.release();
      return out.logits!.data as Float32Array;
    }),
  );
  for (const [i, v] of x!.entries())
    assert.ok(Math.abs(v - y![i]!) <= 1e-5 * (1 + Math.abs(v)), `${v} against ${y![i]}`);
}
const dimsOf = (g: Graph, name: string) => g.initializers.get(name)!.dims;

test("a hidden unit that nobody reads goes, with the weights and the bias that made it", async () => {
  const graph = without(network("lenet-300-100", { seed: 1 }), "fc2.weight", 0, (k) => k % 3 === 0);
  const small = dropDeadChannels(graph);
  assert.deepEqual(
    [dimsOf(small, "fc1.weight"), dimsOf(small, "fc1.bias"), dimsOf(small, "fc2.weight")],
    [[784, 200], [200], [200, 100]],
  );
  await same(graph, small, [1, 28, 28]);
});

test("death spreads to the channels that only the dead read", async () => {
  let graph = network("lenet-300-100", { seed: 1 });
  graph = without(graph, "fc3.weight", 0, (k) => k < 60);
  // Units 0..99 of fc1 are read by dead units of fc2 only.
  const t = graph.initializers.get("fc2.weight")!;
  const values = float32sOf(t).map((v, i) => (Math.floor(i / 100) < 100 && i % 100 >= 60 ? 0 : v));
  graph = withValues(graph, new Map([["fc2.weight", values]]));
  const small = dropDeadChannels(graph);
  assert.deepEqual(
    [dimsOf(small, "fc1.weight"), dimsOf(small, "fc2.weight"), dimsOf(small, "fc3.weight")],
    [
      [784, 200],
      [200, 40],
      [40, 10],
    ],
  );
  await same(graph, small, [1, 28, 28]);
});

test("filters that are read through pooling and Flatten go", async () => {
  const graph = without(network("lenet-5", { seed: 1 }), "fc1.weight", 0, (k) => Math.floor(k / 16) < 20);
  const small = dropDeadChannels(graph);
  assert.deepEqual(
    [dimsOf(small, "conv2.weight"), dimsOf(small, "fc1.weight")],
    [
      [30, 20, 5, 5],
      [480, 500],
    ],
  );
  await same(graph, small, [1, 28, 28]);
});

test("a unit without inputs stays while its bias is read, and so does a residual channel that any reader needs", async () => {
  const constant = without(network("lenet-300-100", { seed: 1 }), "fc1.weight", 1, (k) => k < 10);
  assert.equal(dropDeadChannels(constant), constant);
  const resnet = without(network("resnet-20", { seed: 1 }), "layer1.0.conv1.weight", 1, (k) => k < 4);
  assert.equal(dropDeadChannels(resnet), resnet);
});

test("channels that a reduction reads stay", () => {
  const b = new NetworkBuilder("sum", 1);
  const hidden = b.dense(b.flatten(b.input("x", [1, 4, 4])), "fc1", 8);
  const graph = b.finish(b.dense(hidden, "fc2", 4), "logits");
  const summed: Graph = {
    ...without(graph, "fc2.weight", 0, (k) => k < 4),
    nodes: [
      ...graph.nodes,
      {
        op: "ReduceMax",
        domain: "",
        name: "max",
        inputs: ["fc1"],
        outputs: ["max"],
        attributes: { axes: { kind: "ints", value: [1] } },
      },
    ],
    opsets: new Map([["", 13]]),
  };
  assert.ok(groupsOf(couple(summed)).length > 0);
  assert.deepEqual(dropDeadChannels(summed).initializers.get("fc1.weight")!.dims, [16, 8]);
});

test("one channel is left where all are dead", async () => {
  const graph = without(network("lenet-300-100", { seed: 1 }), "fc2.weight", 0, () => true);
  const small = dropDeadChannels(graph);
  assert.deepEqual(dimsOf(small, "fc1.weight"), [784, 1]);
  await same(graph, small, [1, 28, 28]);
});
