/** Weights beside what is known of them: curvatures by initialiser -> scores by initialiser. */
import type { Graph } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import type { Scores } from "./measure.js";

/** A view of an initialiser's values: do not write into it. */
export const valuesOf = (graph: Graph, name: string): Float32Array => float32sOf(graph.initializers.get(name)!);

/** c w^2 / 2. */
export const timesSquare = (graph: Graph, curvature: Scores): Scores =>
  new Map(
    [...curvature].map(([name, c]) => {
      const w = valuesOf(graph, name);
      return [name, c.map((v, i) => (v * w[i]! * w[i]!) / 2)];
    }),
  );
