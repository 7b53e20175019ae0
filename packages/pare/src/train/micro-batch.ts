/** How many samples one gradient run takes where the recipe does not say: part of the recipe, so it depends on graph and batch only. */
import { infer } from "../analyze/infer.js";
import type { Fitting } from "../data/fit.js";
import { draft, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { rebatch } from "../passes/rebatch.js";

/** Nets without large activations (dense ones) do best in one run over the batch, with the update inside. */
const smallActivation = 16 * 1024;

/**
 * The whole batch where no activation of one sample is above 16 KiB; else half of it, so that threads share the work and activations stay in
 * the cache. Batches under 32 and odd ones stay whole.
 */
export function defaultMicroBatch(graph: Graph, inputs: readonly Fitting[], batch: number): number {
  if (batch % 2 !== 0 || batch < 32 || largestActivation(graph, inputs) <= smallActivation) return batch;
  return batch / 2;
}

/** Bytes of the largest array that a node makes for one sample. */
function largestActivation(graph: Graph, inputs: readonly Fitting[]): number {
  const samples = 2;
  const net = draft(rebatch(graph, samples));
  net.inputs = net.inputs.map((v) => {
    const fed = inputs.find((f) => f.name === v.name);
    return fed ? { ...v, shape: [samples, ...fed.dims] } : v;
  });
  const { types } = infer(net);
  const sizes = net.nodes.flatMap((n) => n.outputs).map((name) => types.get(name)?.shape ?? []);
  const known = sizes.filter((s): s is readonly number[] => s[0] === samples && s.every((d) => typeof d === "number"));
  return Math.max(0, ...known.map((s) => (4 * sizeOf(s)) / samples));
}
