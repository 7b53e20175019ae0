/** What a network costs once channels are gone: a coupled graph and a kind of cost enter; a function of the channels leaves. */
import type { Channel } from "../analyze/axes.js";
import type { Coupling } from "../analyze/couple.js";
import { infer } from "../analyze/infer.js";
import { bytesTally, inputLengths, macsTally } from "../analyze/tally.js";
import type { Engine } from "../engine/engine.js";
import { latency } from "../engine/latency.js";
import type { LayerTimes } from "../engine/layer-times.js";
import { feeds, type Graph } from "../graph/graph.js";
import { recordOf } from "../ops/registry.js";
import type { Cost } from "./widths.js";

export const costKinds = ["macs", "bytes", "latency"] as const;
export type CostKind = (typeof costKinds)[number];

/** How a whole network is timed: so many runs, fewer of a slow one. */
export const wholeRuns = { runs: 40, withinMs: 5000 };

/** Latency is a sum over a table of layers, each timed alone once for every size it takes, and the time that the whole network takes besides. */
export async function costOf(
  kind: CostKind,
  coupling: Coupling,
  narrowed: (removed: ReadonlySet<Channel>) => Graph,
  times: LayerTimes,
): Promise<Cost> {
  if (kind === "macs") return macsTally(coupling);
  if (kind === "bytes") return bytesTally(coupling);
  const dims = dimsOf(coupling);
  const layersMs = layerTable(coupling, narrowed, times);
  const [whole] = await latency(times.engine, [coupling.graph], { ...wholeRuns, dims });
  const rest = Math.max(0, whole!.minMs - (await layersMs(new Set())));
  return async (removed: ReadonlySet<Channel>) => rest + (await layersMs(removed));
}

/** The sum of all layers' times. The graph is cut only where a layer has a size that it never had before. */
function layerTable(
  coupling: Coupling,
  narrowed: (removed: ReadonlySet<Channel>) => Graph,
  times: LayerTimes,
): (removed: ReadonlySet<Channel>) => Promise<number> {
  const layers = coupling.graph.nodes.flatMap((node) =>
    recordOf(node)?.quant === "weights"
      ? [{ node, lengths: inputLengths(coupling, node), known: new Map<string, number>() }]
      : [],
  );
  return async (removed) => {
    const sizes = layers.map(({ lengths }) => lengths(removed).join());
    if (layers.some(({ known }, i) => !known.has(sizes[i]!))) {
      const graph = removed.size ? narrowed(removed) : coupling.graph;
      const { types } = infer(graph, { inputs: dimsOf(coupling) });
      const left = new Map(graph.nodes.map((node) => [node.outputs[0]!, node]));
      for (const [i, { node: before, known }] of layers.entries()) {
        if (known.has(sizes[i]!)) continue;
        // A layer that is gone with its branch takes no time.
        const node = left.get(before.outputs[0]!);
        const x = node?.inputs.map((name) => types.get(name) ?? null);
        known.set(sizes[i]!, node ? await times.ms(graph, { node, x: x! }) : 0);
      }
    }
    return layers.reduce((sum, { known }, i) => sum + known.get(sizes[i]!)!, 0);
  };
}

/** The dims that inputs were coupled with. */
export function dimsOf(coupling: Coupling): Record<string, readonly number[]> {
  return Object.fromEntries(
    feeds(coupling.graph).flatMap((v) => {
      const shape = coupling.inferred.types.get(v.name)?.shape;
      return shape?.every((d) => typeof d === "number") ? [[v.name, shape as readonly number[]]] : [];
    }),
  );
}

/** The second network's time over the first's, run alternately. */
export async function latencyRatio(engine: Engine, before: Graph, after: Graph, coupling: Coupling): Promise<number> {
  const [a, b] = await latency(engine, [before, after], { ...wholeRuns, dims: dimsOf(coupling) });
  return b!.medianMs / a!.medianMs;
}
