/** FPGM: a graph -> how far each filter is from the others of its layer; one near their geometric median can be replaced by them. */
import { layersOf } from "../analyze/layers.js";
import { channelOf, channelsOf, spreadOver } from "./by-channel.js";
import type { Measure } from "./measure.js";
import { valuesOf } from "./weight-values.js";

/** g(x) = sum_j |x - F_j|_2 (eq. 5 and 8), the same for all weights of a filter. */
export const geometricMedian: Measure = {
  paper: "He, Liu, Wang, Hu, Yang: Filter Pruning via Geometric Median, 2019 (1811.00250)",
  needs: "nothing",
  score: ({ graph, names }) => {
    const scores = new Map<string, Float32Array>();
    for (const layer of layersOf(graph)) {
      if (!names.includes(layer.weight)) continue;
      const values = valuesOf(graph, layer.weight);
      const [count, at] = [channelsOf(layer), channelOf(layer)];
      const size = values.length / count;
      const [filters, filled] = [new Float64Array(values.length), new Uint32Array(count)];
      values.forEach((v, i) => {
        const c = at(i);
        filters[c * size + filled[c]!++] = v;
      });
      const sums = new Float64Array(count);
      for (let a = 0; a < count; a++)
        for (let b = 0; b < a; b++) {
          let square = 0;
          for (let i = 0; i < size; i++) square += (filters[a * size + i]! - filters[b * size + i]!) ** 2;
          sums[a]! += Math.sqrt(square);
          sums[b]! += Math.sqrt(square);
        }
      scores.set(layer.weight, spreadOver(layer, sums));
    }
    return scores;
  },
};
