/** The built-in networks' training graphs: blocked and plain lowering give the same loss, gradients and statistics. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import type { Graph } from "../dist/graph/graph.js";
import { float32sOf, sizeOf } from "../dist/graph/tensor.js";
import { network, networkNames } from "../dist/methods/architecture/networks.js";
import { trainingGraph } from "../dist/train/training-graph.js";
import { largestDifference } from "./support/agreement.js";

function feedsOf(graph: Graph, weights: Graph, n: number, seed: number): Record<string, NDArray> {
  let state = seed;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const fill = (name: string, dims: readonly number[]) => {
    const known = weights.initializers.get(name);
    return known ? float32sOf(known).slice() : Float32Array.from({ length: sizeOf(dims) }, next);
  };
  return Object.fromEntries(
    graph.inputs.map(({ name, type, shape }) => {
      const dims = shape as number[];
      if (type === "int64")
        return [name, { type, dims, data: BigInt64Array.from({ length: n }, (_, i) => BigInt(i % 10)) }];
      return [name, { type, dims, data: fill(name, dims) }];
    }),
  );
}

/** The largest relative L2 difference between blocked and plain over all outputs, on inputs of this seed. */
async function difference(graph: Graph, weights: Graph, n: number, seed: number): Promise<number> {
  const feeds = feedsOf(graph, weights, n, seed);
  const run = async (blocked: boolean) => {
    const session = await ortNode.load(graph, { blocked });
    const result = await session.run(feeds);
    await session.release();
    return graph.outputs.map((v) => result[v.name]!.data as Float32Array);
  };
  const [wanted, got] = [await run(false), await run(true)];
  return largestDifference(wanted, got);
}

for (const name of networkNames)
  for (const n of [8, 5])
    test(`${name}, ${n} samples`, async () => {
      const net = network(name, { seed: 3 });
      const dims = (net.inputs[0]!.shape as number[]).slice(1);
      const { graph } = trainingGraph(net, {
        inputs: [{ name: "x", type: "float32", dims, field: 0, turned: false, apply: (x) => x }],
        microBatch: n,
        loss: "cross-entropy",
        targets: "labels",
      });
      // Among a million activations one may lie so close to 0 that rounding flips its ReLU, which changes all gradients before it
      // by about 1e-3: such an input says nothing, so there are four.
      const errors: number[] = [];
      for (let seed = 1; seed <= 4 && !errors.some((e) => e < 1e-5); seed++)
        errors.push(await difference(graph, net, n, seed));
      assert.ok(
        errors.some((e) => e < 1e-5),
        `relative errors ${errors}`,
      );
    });
