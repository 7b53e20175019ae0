/** Synaptic intelligence: how a training went -> how much of the loss's fall each weight brought about, over how far it had to go. */
import { PareError } from "../graph/error.js";
import type { Measure, Question, Scores } from "./measure.js";
import { timesSquare, valuesOf } from "./weight-values.js";

/** Omega = max(0, work) / ((w - start)^2 + xi) (eq. 5). Throws PareError (usage) where the training was not recorded. */
export function intelligence({ graph, names, path }: Question, xi = 1e-3): Scores {
  if (!path)
    throw new PareError(
      "synaptic intelligence is measured while a network trains: train it with the option path, and give its result",
      "usage",
    );
  return new Map(
    names
      .filter((name) => path.work.has(name))
      .map((name) => {
        const [work, start, now] = [path.work.get(name)!, path.start.get(name)!, valuesOf(graph, name)];
        return [name, work.map((w, i) => Math.max(0, w) / ((now[i]! - start[i]!) ** 2 + xi))];
      }),
  );
}

/** Omega w^2 / 2. */
export const synaptic: Measure = {
  paper: "Zenke, Poole, Ganguli: Continual Learning Through Synaptic Intelligence, 2017 (1703.04200)",
  needs: "path",
  score: (q) => timesSquare(q.graph, intelligence(q)),
};
