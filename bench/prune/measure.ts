/** Two networks and test data come in; what the second is beside the first goes out. */
import { couple } from "../../packages/pare/dist/analyze/couple.js";
import { inspect } from "../../packages/pare/dist/analyze/inspect.js";
import type { Dataset } from "../../packages/pare/dist/data/dataset.js";
import { latency } from "../../packages/pare/dist/engine/latency.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import type { Graph } from "../../packages/pare/dist/graph/graph.js";
import { dimsOf } from "../../packages/pare/dist/methods/costs.js";
import { evaluate } from "../../packages/pare/dist/train/evaluate.js";
import type { Run } from "./table.js";

/** Timed runs of each network. */
const runs = 300;

export type Work = () => Promise<{ readonly graph: Graph; readonly details?: Run["details"] }>;

/** Does the work under a clock, then measures its network beside `original` on test data, once. */
export async function measured(original: Graph, test: Dataset, work: Work): Promise<Run> {
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const { graph, details } = await work();
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - started) / 1000;
  const [a, b] = [inspect(original), inspect(graph)];
  const [t, u] = await latency(ortNode, [original, graph], { runs, dims: dimsOf(couple(original)) });
  const top1 = async (g: Graph): Promise<number> => (await evaluate(g, test, { engine: ortNode })).top1;
  return {
    before: await top1(original),
    after: await top1(graph),
    parameters: b.parameters / a.parameters,
    macs: b.macs / a.macs,
    latency: u!.medianMs / t!.medianMs,
    fastest: u!.minMs / t!.minMs,
    cpuSeconds: (user + system) / 1e6,
    seconds,
    ...(details ? { details } : {}),
  };
}
