/** First-order importance: a graph and data with labels -> |gradient x weight|, sample by sample (Taylor) or of the whole loss (SNIP). */
import { lossSensitivity, meanOver } from "./each-gradient.js";
import type { Measure } from "./measure.js";
import { valuesOf } from "./weight-values.js";

/** E_x |g w| (eq. 3 of the 2017 paper, for single weights). */
export const taylor: Measure = {
  paper: "Molchanov, Tyree, Karras, Aila, Kautz: Pruning Convolutional Neural Networks, 2017 (1611.06440)",
  needs: "labels",
  score: (q) =>
    meanOver(
      q,
      lossSensitivity,
      (g, w) => Math.abs(g * w),
      (name) => valuesOf(q.graph, name),
    ),
};

/** |E_x[g] w| over its sum over all weights (eq. 6). Meant for a network before its training. */
export const snip: Measure = {
  paper: "Lee, Ajanthan, Torr: SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019 (1810.02340)",
  needs: "labels",
  score: async (q) => {
    const gradients = await meanOver(q, lossSensitivity, (g) => g);
    const scores = [...gradients].map(([name, g]): [string, Float32Array] => {
      const w = valuesOf(q.graph, name);
      return [name, g.map((v, i) => Math.abs(v * w[i]!))];
    });
    const total = scores.reduce((sum, [, s]) => s.reduce((a, b) => a + b, sum), 0) || 1;
    return new Map(scores.map(([name, s]) => [name, s.map((v) => v / total)]));
  },
};
