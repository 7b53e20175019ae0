/** The two ways to make a step: gradients in runs of their own and an update after them, or both in one graph. */
import { Emitter } from "../graph/emit.js";
import { draft, type Graph } from "../graph/graph.js";
import { emitUpdate, type Update, type UpdateOptions, updateGraph } from "../optimizers/update-graph.js";
import type { Layout } from "./layout.js";
import type { TrainingGraph } from "./training-graph.js";

export interface StepGraph {
  /** The gradient run; with `fused` the update is in it and the gradients stay inside. */
  readonly graph: Graph;
  readonly update: Pick<Update, "rule" | "names">;
  /** The update's own graph; null where it is fused. */
  readonly separate: Graph | null;
}

/** A batch of one micro-batch is one run: nothing has to be added up, and gradients need not leave the engine, unless they are recorded. Codebooks are reduced outside of it. */
export function stepGraph(t: TrainingGraph, layout: Layout, options: UpdateOptions, recorded = false): StepGraph {
  if (options.gradients > 1 || !layout.direct || recorded) {
    const { graph, ...update } = updateGraph(options);
    return { graph: t.graph, update, separate: graph };
  }
  const out = draft(t.graph);
  const g = new Emitter(out);
  const inside = new Set(t.gradients);
  out.outputs = out.outputs.filter((v) => !inside.has(v.name));
  const pieces = layout.segments.flatMap(({ offset, length }, i) => {
    const end = layout.segments[i + 1]?.offset ?? layout.weights;
    const gap = end - offset - length;
    return [g.reshape(t.gradients[i]!, [length]), ...(gap ? [g.full(0, [gap])] : [])];
  });
  const gradient = g.op("Concat", pieces, { axis: 0 });
  return { graph: out, update: emitUpdate(g, options, [gradient], (hint) => g.fresh(hint)), separate: null };
}
