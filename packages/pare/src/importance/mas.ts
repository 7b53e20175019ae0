/** Memory aware synapses: a graph and unlabelled data -> how much the network's outputs move with each weight. */
import { meanOver, type Sensitivity } from "./each-gradient.js";
import type { Measure, Question } from "./measure.js";
import { timesSquare } from "./weight-values.js";

/** d |z|^2 / dz. */
const ofNorm: Sensitivity = ({ g, z }) => g.op("Mul", [z, g.scalar(2)]);

/** Omega_i = E_x | d |F(x)|^2 / d w_i | (eq. 2 and 3). F are the logits where the data has labels. */
export const synapses = (q: Question): Promise<Map<string, Float32Array>> => meanOver(q, ofNorm, Math.abs);

/** Omega w^2 / 2. */
export const mas: Measure = {
  paper: "Aljundi, Babiloni, Elhoseiny, Rohrbach, Tuytelaars: Memory Aware Synapses, 2018 (1711.09601)",
  needs: "data",
  score: async (q) => timesSquare(q.graph, await synapses(q)),
};
