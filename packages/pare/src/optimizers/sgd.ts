/**
 * Stochastic gradient descent with momentum.
 * Polyak, Some methods of speeding up the convergence of iteration methods, 1964; Nesterov's form as in
 * Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, 2013.
 * Differs from the papers: v accumulates plain gradients and the rate multiplies v (as PyTorch does), so a schedule acts on past gradients too.
 */
import { PareError } from "../graph/error.js";
import type { Rule } from "./rule.js";

/** v' = m v + g; change = r v', or r (g + m v') for Nesterov. Throws for a momentum outside [0, 1). */
export function sgd({ momentum = 0, nesterov = false }: { momentum?: number; nesterov?: boolean }): Rule {
  if (!(momentum >= 0 && momentum < 1)) throw new PareError(`sgd: momentum ${momentum} is outside [0, 1)`, "usage");
  if (nesterov && momentum === 0) throw new PareError("sgd: nesterov needs a momentum above 0", "usage");
  return {
    slots: momentum ? 1 : 0,
    scalars: (_t, rate) => [rate],
    emit(g, gradient, [v], [rate]) {
      if (v === undefined) return { change: g.op("Mul", [gradient, rate!]), slots: [] };
      const m = g.scalar(momentum);
      const next = g.op("Add", [g.op("Mul", [v, m]), gradient]);
      const direction = nesterov ? g.op("Add", [gradient, g.op("Mul", [next, m])]) : next;
      return { change: g.op("Mul", [direction, rate!]), slots: [next] };
    },
  };
}
