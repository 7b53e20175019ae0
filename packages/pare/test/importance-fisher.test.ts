import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf } from "../dist/graph/tensor.js";
import { importances } from "../dist/importance/fisher.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { withValues } from "../dist/methods/weights.js";
import { blobs } from "./support/blobs.js";

/** Conv, BatchNormalization, ReLU, Dropout, dense: everything that could run differently in training. */
function net(softmax: boolean): Graph {
  const b = new NetworkBuilder("tiny", 4);
  let x = b.input("x", [1, 6, 6]);
  x = b.relu(b.batchNorm(b.conv(x, "conv", 3, 3), "bn"), "relu");
  x = b.dense(b.dropout(b.flatten(x), "drop", 0.5), "fc", 4);
  return b.finish(softmax ? b.activation(x, "softmax", "Softmax" as never) : x, "y");
}
const probabilities = (logits: ArrayLike<number>, t: number): number[] => {
  const e = Array.from(logits, (z) => Math.exp(z / t));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};

/** Twice the KL divergence of the softened answers, over the change squared: what the Fisher information is in the limit (per unit of z / T). */
test("importance is the curvature of the softened answers, whether or not the graph ends in a Softmax", async () => {
  const samples = 400;
  const data = blobs(samples, [1, 6, 6], 2);
  const inputs = data.batch(Array.from({ length: samples }, (_, i) => i)).inputs[0]!;
  const logitsOf = async (graph: Graph) => {
    const session = await ortNode.load(graph);
    const { y } = await session.run({ x: inputs });
    await session.release();
    return y!.data as Float32Array;
  };
  const graph = net(false);
  const base = await logitsOf(graph);
  const names = ["conv.weight", "fc.weight", "fc.bias"];
  const measured = await importances(graph, names, data, samples, { engine: ortNode });
  const behindSoftmax = await importances(net(true), names, data, samples, { engine: ortNode });
  const temperature = 2;
  let [sum, expected] = [0, 0];
  for (const name of names) {
    assert.deepEqual(measured.get(name), behindSoftmax.get(name));
    const values = float32sOf(graph.initializers.get(name)!);
    for (let i = 0; i < values.length; i += Math.ceil(values.length / 12)) {
      const change = 0.02;
      const moved = values.slice();
      moved[i]! += change;
      const after = await logitsOf(withValues(graph, new Map([[name, moved]])));
      let divergence = 0;
      for (let s = 0; s < samples; s++) {
        const p = probabilities(base.subarray(4 * s, 4 * s + 4), temperature);
        const q = probabilities(after.subarray(4 * s, 4 * s + 4), temperature);
        divergence += p.reduce((d, pk, k) => d + pk * Math.log(pk / q[k]!), 0) / samples;
      }
      // d(z / T) halves the gradient: F here is of the logits themselves.
      sum += measured.get(name)![i]!;
      expected += ((2 * divergence) / change ** 2) * temperature ** 2;
    }
  }
  assert.ok(Math.abs(sum / expected - 1) < 0.1, `${sum} against ${expected}`);
});
