/** A network changed layer by layer on calibration data: the dense network and the one to change enter; a step for each layer is asked for. */
import { type Layer, layersOf } from "../analyze/layers.js";
import { PareError } from "../graph/error.js";
import { draft, type Graph } from "../graph/graph.js";
import { at } from "../ops/site.js";
import { beside } from "../passes/beside.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { openBatch } from "../passes/rebatch.js";
import { Advance } from "./advance.js";
import { type Chain, chainOf, emitTarget, type Survivors } from "./layer-target.js";
import type { Note } from "./method.js";
import { type Calibration, type Moments, momentsOf } from "./moments.js";

/** Layers with more inputs than this are left: solving for them takes too long. */
const mostInputs = 3000;

export interface Walk extends Calibration {
  /** Which layers are changed. */
  readonly wanted: (layer: Layer) => boolean;
  readonly survivors: Survivors;
}

/**
 * `step` gets the graph as it is, a layer, and the moments of the layer's inputs there with what the layer should give; it returns the graph with
 * that layer changed. So each layer also mends what those before it did (He, Zhang, Sun: Channel Pruning, 2017, section 3.2 and 3.3). `start`
 * keeps the dense graph's names, and its opset.
 */
export async function layerByLayer(
  dense: Graph,
  start: Graph,
  o: Walk,
  step: (graph: Graph, chain: Chain, moments: Moments) => Graph,
): Promise<{ readonly graph: Graph; readonly notes: readonly Note[] }> {
  const notes: Note[] = [];
  let graph: Graph = openBatch(raiseOpset(start));
  const { graph: joined, nameOf } = beside(graph, openBatch(raiseOpset(dense)));
  const advance = new Advance(joined, o);
  const layers = layersOf(graph);
  const steps = layers.filter(o.wanted);
  for (const [i, layer] of steps.entries()) {
    const { node, weight } = layer;
    const skip = (why: string) =>
      notes.push({ node: node.name, what: "skipped", why: `${at(node)}: not fitted: ${why}` });
    if (layers.filter((l) => l.weight === weight).length > 1) {
      skip(`its weight "${weight}" is shared`);
      continue;
    }
    const chain = chainOf(graph, layer);
    const now = draft(joined);
    for (const [name, tensor] of graph.initializers) now.initializers.set(name, tensor);
    const open = new Set(steps.slice(i).map((l) => l.weight));
    const moments = await momentsOf(advance, now, layer, open, (g) => emitTarget(g, graph, chain, nameOf, o.survivors));
    if (!moments) skip("it is no plain matrix product");
    else if (moments.as.inputs > mostInputs) skip(`${moments.as.inputs} inputs are too many`);
    else
      try {
        graph = step(graph, chain, moments);
      } catch (error) {
        // Inputs that hardly vary leave nothing to solve: the layer stays as it is.
        if (!(error instanceof PareError)) throw error;
        skip(error.message);
      }
  }
  const out = draft(start);
  for (const [name, t] of start.initializers)
    out.initializers.set(name, { ...t, ...(graph.initializers.get(name) ?? t) });
  return { graph: out, notes };
}
