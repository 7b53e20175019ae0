/** BatchNormalization's running statistics, measured anew: a changed graph and calibration data enter; the graph with its own statistics leaves. */
import { infer } from "../analyze/infer.js";
import { fit } from "../data/fit.js";
import { spread } from "../data/views.js";
import { draft, feeds, type Graph } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { rebatch } from "../passes/rebatch.js";
import { trainingMode } from "../train/training-mode.js";
import type { Calibration } from "./moments.js";

/** Samples of one run; statistics of several runs are averaged. */
const most = 64;

/** The graph itself where nothing in it follows the data. Dropout stays out of it. */
export async function refreshStatistics(graph: Graph, o: Calibration): Promise<Graph> {
  const fitted = fit(o.data, feeds(graph));
  const indices = spread(o.data.length, Math.min(o.samples, o.data.length));
  const size = Math.min(most, indices.length);
  const raised = rebatch(raiseOpset(graph), size);
  const fixed = draft(raised);
  fixed.values = new Map();
  fixed.inputs = fitted.fields.map((f) => ({ name: f.name!, type: f.type, shape: [size, ...f.dims] }));
  const ratios = Object.fromEntries(raised.nodes.filter((n) => n.op === "Dropout").map((n) => [n.name, 0]));
  const { graph: training, statistics } = trainingMode(fixed, ratios);
  if (statistics.length === 0) return graph;
  const net = draft(training);
  net.outputs = statistics.map((s) => ({ name: s.batch, type: "float32", shape: null }));
  for (const [name, type] of infer(net).types) if (type.type !== "undefined") net.values.set(name, { name, ...type });
  const sums = statistics.map((s) => new Float64Array(sizeOf(graph.initializers.get(s.running)!.dims)));
  const session = await o.engine.load(net);
  let runs = 0;
  try {
    for (let from = 0; from + size <= indices.length; from += size, runs++) {
      o.signal?.throwIfAborted();
      const { inputs } = fitted.batch(indices.subarray(from, from + size));
      const results = await session.run(Object.fromEntries(fitted.fields.map(({ name }, k) => [name!, inputs[k]!])));
      statistics.forEach((s, k) => {
        const values = results[s.batch]!.data as Float32Array;
        for (let i = 0; i < values.length; i++) sums[k]![i]! += values[i]!;
      });
    }
  } finally {
    await session.release();
  }
  const out = draft(graph);
  statistics.forEach((s, k) => {
    const { dims } = graph.initializers.get(s.running)!;
    out.initializers.set(
      s.running,
      floats(
        Float32Array.from(sums[k]!, (v) => v / runs),
        dims,
      ),
    );
  });
  return out;
}
