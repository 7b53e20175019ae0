/** How wide the layers of a network became: the graph before and after enter; output channels of every layer before leave. */
import type { Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { type Layer, layersOf } from "./layers.js";

export interface LayerWidth {
  readonly layer: string;
  readonly before: number;
  /** None are left of a layer that is gone. */
  readonly after: number;
}

/**
 * A layer is found again by the value that it computes, else by its node's name: one that became several is what the last of these gives. Throws
 * PareError where shapes contradict one another.
 */
export function layerWidths(before: Graph, after: Graph): LayerWidth[] {
  const left = layersOf(after);
  const byValue = new Map(left.map((l) => [l.node.outputs[0], l]));
  const byName = new Map(left.map((l) => [l.node.name, l]));
  const widthOf = (l: Layer | undefined): number => (l ? sizeOf(l.dims.filter((_, d) => l.kept[d])) : 0);
  return layersOf(before).map((l) => {
    const [value, { name }] = [l.node.outputs[0]!, l.node];
    const now = byValue.get(value) ?? (name ? byName.get(name) : undefined);
    return { layer: name || value, before: widthOf(l), after: widthOf(now) };
  });
}
