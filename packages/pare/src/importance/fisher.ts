/** The Fisher information of each weight: a graph and data enter; how much the network's answer resents a change of each weight leaves. */
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";
import { lossSensitivity, meanOver, type Sensitivity } from "./each-gradient.js";
import type { Measure, Question } from "./measure.js";
import { timesSquare } from "./weight-values.js";

/** Of a fitted network the answers are all but certain and their Fisher information vanishes: softened answers still say what matters. */
const softer = 2;

/**
 * Sensitivities whose squared gradients have the Fisher information as their mean over the signs e: s = e sqrt(p) - p sum(e sqrt(p)) gives
 * J^T (diag p - p p^T) J, p the softmax of z at a temperature; for data without labels s = e gives J^T J.
 */
export const fisherSensitivity =
  (temperature: number): Sensitivity =>
  ({ g, z, labelled, signs }) => {
    if (!labelled) return signs();
    const p = g.op("Softmax", [temperature === 1 ? z : g.op("Mul", [z, g.scalar(1 / temperature)])], { axis: -1 });
    const drawn = g.op("Mul", [signs(), g.op("Sqrt", [p])]);
    return g.op("Sub", [drawn, g.op("Mul", [p, g.reduceSum(drawn, [1], true)])]);
  };

const square = (gradient: number): number => gradient * gradient;

/** F_i = E_x E_k (d log p_k(x) / d w_i)^2, k drawn from p by one random sign vector per sample (Hutchinson). */
export const trueFisher = (q: Question, temperature = 1): Promise<Map<string, Float32Array>> =>
  meanOver(q, fisherSensitivity(temperature), square);

/** The same with the data's own labels in the place of the network's answers: the empirical Fisher. */
export const empiricalFisher = (q: Question): Promise<Map<string, Float32Array>> =>
  meanOver(q, lossSensitivity, square);

/** The true Fisher information of the answers softened to temperature 2, on `samples` training samples, evenly spread. */
export const importances = (
  graph: Graph,
  names: readonly string[],
  data: Dataset,
  samples: number,
  tools: { readonly engine: Engine; readonly signal?: AbortSignal },
): Promise<Map<string, Float32Array>> =>
  trueFisher({ graph, names, data, samples, seed: 0, path: null, ...tools }, softer);

const kirkpatrick = "Kirkpatrick et al.: Overcoming catastrophic forgetting in neural networks, 2017 (1612.00796)";

/** F w^2 / 2, the rise of the loss that zeroing costs; F of softened answers. */
export const fisher: Measure = {
  paper: kirkpatrick,
  needs: "data",
  score: async (q) => timesSquare(q.graph, await trueFisher(q, softer)),
};
/** F of the answers as they are. */
export const fisherTrue: Measure = {
  paper: kirkpatrick,
  needs: "data",
  score: async (q) => timesSquare(q.graph, await trueFisher(q)),
};
export const fisherEmpirical: Measure = {
  paper: kirkpatrick,
  needs: "labels",
  score: async (q) => timesSquare(q.graph, await empiricalFisher(q)),
};
