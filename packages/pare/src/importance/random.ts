/** The control: uniform numbers for scores. */
import { Random } from "../data/random.js";
import { sizeOf } from "../graph/tensor.js";
import type { Measure } from "./measure.js";

export const random: Measure = {
  paper: "the control that every measure must beat",
  needs: "nothing",
  score: ({ graph, names, seed }) =>
    new Map(
      names.map((name, k) => {
        const r = new Random(seed, k);
        return [name, Float32Array.from({ length: sizeOf(graph.initializers.get(name)!.dims) }, () => r.uniform())];
      }),
    ),
};
