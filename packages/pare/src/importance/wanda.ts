/** Wanda: a graph and data -> |w| times the norm of what the weight is multiplied with. */
import { layersOf } from "../analyze/layers.js";
import { sizeOf } from "../graph/tensor.js";
import type { Unrolled } from "../ops/record.js";
import { raiseOpset } from "../passes/raise-opset.js";
import type { Measure, Question } from "./measure.js";
import { observe } from "./observe.js";
import { placeIn, unrolled } from "./unroll.js";
import { valuesOf } from "./weight-values.js";

/** By weight: sum over the samples and positions of the squares of its inputs, [g k]. */
async function inputPowers(q: Question): Promise<Map<string, { readonly as: Unrolled; readonly sums: Float64Array }>> {
  const graph = raiseOpset(q.graph);
  const layers = layersOf(graph).filter((l) => q.names.includes(l.weight));
  const powers = new Map<string, { as: Unrolled; sums: Float64Array }>();
  const read: string[] = [];
  await observe(
    { ...q, graph },
    (g) => {
      const names = layers.flatMap((layer) => {
        const as = unrolled(layer);
        if (!as) return [];
        read.push(layer.weight);
        powers.set(layer.weight, { as, sums: new Float64Array(as.groups * as.inputs) });
        return [g.op("ReduceSumSquare", [as.x(g, layer.node.inputs[0]!, 1), g.ints([2])], { keepdims: 0 })];
      });
      return names;
    },
    (values) => {
      values.forEach(({ data }, k) => {
        const { sums } = powers.get(read[k]!)!;
        for (let i = 0; i < sums.length; i++) sums[i]! += (data as Float32Array)[i]!;
      });
    },
  );
  return powers;
}

/** S_ij = |W_ij| |X_j|_2 (eq. 1). Differs from the paper: convolutions too, each place of the kernel having an input of its own. */
export const wanda: Measure = {
  paper: "Sun, Liu, Bair, Kolter: A Simple and Effective Pruning Approach for Large Language Models, 2024 (2306.11695)",
  needs: "data",
  score: async (q) => {
    const scores = new Map<string, Float32Array>();
    for (const [name, { as, sums }] of await inputPowers(q)) {
      const values = valuesOf(q.graph, name);
      const score = new Float32Array(sizeOf(q.graph.initializers.get(name)!.dims));
      const at = placeIn(as);
      for (let g = 0; g < as.groups; g++)
        for (let o = 0; o < as.outputs; o++)
          for (let k = 0; k < as.inputs; k++) {
            const i = at(g, o, k);
            score[i] = Math.abs(values[i]!) * Math.sqrt(sums[g * as.inputs + k]!);
          }
      scores.set(name, score);
    }
    return scores;
  },
};
