/** Training as a stage of its own: a graph enters, the same graph with trained weights leaves. */
import { z } from "zod";
import { fineTune, trainingOf } from "./fine-tune.js";
import { type MethodResult, method } from "./method.js";

/** As the first stage of a recipe it makes the dense network, which later stages are measured against and taught by. */
export const dense = method({
  id: "train",
  paper: "Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, 1986",
  needs: ["training"],
  options: z.strictObject({ train: fineTune }),
  atZero: { train: { epochs: 0 } },
  apply: async (graph, o, tools): Promise<MethodResult> => {
    const training = trainingOf(o.train, graph, tools);
    if (training.epochs === 0) return { graph, notes: [] };
    const { graph: trained, history } = await tools.train(graph, training);
    return { graph: trained, notes: [], history };
  },
});
