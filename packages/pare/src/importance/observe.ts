/** Inner values of a network on data: a graph, data and nodes that boil values down enter; what they give is handed on, batch by batch. */
import { fit } from "../data/fit.js";
import { spread } from "../data/views.js";
import type { NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { draft, feeds } from "../graph/graph.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { fixedBatch } from "../passes/rebatch.js";
import type { Question } from "./measure.js";

/**
 * Runs `graph` over the samples, up to 32 at a time. `emit` appends nodes and returns the names to read; `visit` gets their values, in that order,
 * and the number of samples.
 */
export async function observe(
  q: Pick<Question, "graph" | "data" | "samples" | "engine" | "signal">,
  emit: (g: Emitter) => readonly string[],
  visit: (values: readonly NDArray[], samples: number) => void,
): Promise<void> {
  const data = q.data!;
  const out = draft(raiseOpset(q.graph));
  const fitted = fit(data, feeds(q.graph));
  const names = emit(new Emitter(out, "float32", "observed_"));
  if (names.length === 0) return;
  out.outputs = [...new Set(names)].map((name) => ({ name, type: "float32", shape: null }));
  out.values = new Map();
  const fixed = fixedBatch(q.graph);
  const size = fixed ?? 32;
  const indices = spread(data.length, Math.min(Math.max(q.samples, fixed ?? 1), data.length));
  const session = await q.engine.load(out);
  try {
    for (let from = 0; from < indices.length; from += size) {
      q.signal?.throwIfAborted();
      // A graph of fixed batch gets whole batches: the last one starts early enough.
      const start = fixed === null ? from : Math.max(0, Math.min(from, indices.length - size));
      const some = indices.subarray(start, start + size);
      const { inputs } = fitted.batch(some);
      const fed = Object.fromEntries(fitted.fields.map(({ name }, k) => [name!, inputs[k]!]));
      const results = await session.run(fed);
      visit(
        names.map((name) => results[name]!),
        some.length,
      );
    }
  } finally {
    await session.release();
  }
}
