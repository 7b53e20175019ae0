/** Repairs a pruned network without training: layer by layer, its weights are fitted so that it gives what the dense network gave. */
import { layersOf } from "../analyze/layers.js";
import type { Graph, Node } from "../graph/graph.js";
import { layerByLayer } from "./layer-by-layer.js";
import type { Survivors } from "./layer-target.js";
import type { Note } from "./method.js";
import type { Calibration } from "./moments.js";
import { refitted } from "./refit.js";

export interface Reconstruction extends Calibration {
  readonly survivors: Survivors;
  /** Weight of staying as it is, times the mean power of the layer's inputs. */
  readonly ridge: number;
}

/** Least squares for all layers that lost inputs or come behind such. `pruned` keeps the dense graph's names and has its channels cut. */
export function reconstruct(
  dense: Graph,
  pruned: Graph,
  o: Reconstruction,
): Promise<{ readonly graph: Graph; readonly notes: readonly Note[] }> {
  const disturbed = disturbedLayers(dense, pruned);
  const wanted = (l: { readonly node: Node }): boolean => disturbed.has(l.node.outputs[0]!);
  return layerByLayer(dense, pruned, { ...o, wanted }, (graph, chain, moments) => refitted(graph, chain, moments, o));
}

/** Layers that lost inputs or read from elsewhere, and those that come behind them; by output name. */
function disturbedLayers(dense: Graph, pruned: Graph): Set<string> {
  const before = new Map(layersOf(dense).map((l) => [l.node.outputs[0], l]));
  const layers = new Map(layersOf(pruned).map((l) => [l.node, l]));
  const made = new Set(pruned.nodes.flatMap((n) => n.outputs));
  const sources = new Map(dense.nodes.map((n) => [n.outputs[0], n.inputs]));
  const values = new Set<string>();
  const found = new Set<string>();
  for (const node of pruned.nodes) {
    const layer = layers.get(node);
    const old = before.get(node.outputs[0]);
    const lost = layer?.dims.some((n, d) => !layer.kept[d] && n !== old?.dims[d]) ?? false;
    const moved = node.inputs.some((name, i) => made.has(name) && name !== sources.get(node.outputs[0])?.[i]);
    if (!lost && !moved && !node.inputs.some((i) => values.has(i))) continue;
    for (const o of node.outputs) values.add(o);
    if (layer) found.add(node.outputs[0]!);
  }
  return found;
}
