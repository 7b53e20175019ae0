/** The empirical Fisher information of each weight: the mean of squared gradients, one sample at a time -> how much the loss resents a change. */
import type { Dataset } from "../data/dataset.js";
import { spread } from "../data/views.js";
import type { NDArray } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { fieldFeeds } from "../train/feeds.js";
import { trainingGraph } from "../train/training-graph.js";
import type { Tools } from "./method.js";

/**
 * F_i = mean over samples of (dL/dw_i)^2 by initialiser, over `samples` training samples spread evenly over the data; L is the softmax
 * cross-entropy on the data's labels, or the mean squared error to its targets. The loss rises by about 1/2 F_i d^2 where w_i changes by d.
 * Throws PareError where the graph cannot be differentiated.
 */
export async function importances(
  graph: Graph,
  names: readonly string[],
  data: Dataset,
  samples: number,
  tools: Pick<Tools, "engine" | "signal">,
): Promise<Map<string, Float32Array>> {
  const labelled = data.classes !== undefined;
  const first = data.batch([0]);
  const net = trainingGraph(graph, {
    inputs: fieldFeeds(graph, data),
    microBatch: 1,
    loss: labelled ? "cross-entropy" : "mse",
    targets: labelled ? "labels" : (first.targets?.dims.slice(1) ?? []),
    dropout: Object.fromEntries(graph.nodes.filter((n) => n.op === "Dropout").map((n) => [n.name, 0])),
  });
  const wanted = net.parameters.flatMap((p, k) =>
    names.includes(p.name) ? [{ ...p, gradient: net.gradients[k]! }] : [],
  );
  const fixed = Object.fromEntries(
    net.parameters.map((p) => [
      p.name,
      { type: "float32", dims: p.dims, data: float32sOf(graph.initializers.get(p.name)!) } satisfies NDArray,
    ]),
  );
  const sums = new Map(wanted.map((p) => [p.name, new Float64Array(p.dims.reduce((a, b) => a * b, 1))]));
  const session = await tools.engine.load(net.graph);
  const indices = spread(data.length, samples);
  try {
    for (const index of indices) {
      tools.signal?.throwIfAborted();
      const { inputs, labels, targets } = data.batch([index]);
      const target: NDArray = labels
        ? { type: "int64", dims: [1], data: BigInt64Array.from(labels, BigInt) }
        : targets!;
      const fed = [...inputs, target].map((array, k) => [net.feeds[k]!.name, { ...array, dims: net.feeds[k]!.dims }]);
      const out = await session.run(
        { ...fixed, ...Object.fromEntries(fed) },
        wanted.map((p) => p.gradient),
      );
      for (const p of wanted) {
        const [sum, g] = [sums.get(p.name)!, out[p.gradient]!.data as Float32Array];
        for (let i = 0; i < sum.length; i++) sum[i]! += g[i]! * g[i]!;
      }
    }
  } finally {
    await session.release();
  }
  return new Map([...sums].map(([name, sum]) => [name, Float32Array.from(sum, (s) => s / indices.length)]));
}
