/**
 * Adam. Kingma, Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
 * AdamW (Loshchilov, Hutter, Decoupled weight decay regularization, 2019) is the same rule with the decay outside: see update-graph.ts.
 * Differs from the paper: epsilon is added after the bias correction of the second moment (as PyTorch does).
 */
import { PareError } from "../graph/error.js";
import type { Rule } from "./rule.js";

/** change = r m^ / (sqrt(v^) + epsilon). Throws for a beta outside [0, 1) and an epsilon that is not positive. */
export function adam({
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
}: {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
}): Rule {
  for (const [name, beta] of Object.entries({ beta1, beta2 }))
    if (!(beta >= 0 && beta < 1)) throw new PareError(`adam: ${name} ${beta} is outside [0, 1)`, "usage");
  if (!(epsilon > 0)) throw new PareError(`adam: epsilon ${epsilon} should be above 0`, "usage");
  return {
    slots: 2,
    // Both bias corrections are scalars: r / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    scalars: (t, rate) => [rate / (1 - beta1 ** t), 1 / Math.sqrt(1 - beta2 ** t)],
    emit(g, gradient, [m, v], [rate, correction]) {
      const mix = (old: string, beta: number, now: string): string =>
        g.op("Add", [g.op("Mul", [old, g.scalar(beta)]), g.op("Mul", [now, g.scalar(1 - beta)])]);
      const m1 = mix(m!, beta1, gradient);
      const v1 = mix(v!, beta2, g.op("Mul", [gradient, gradient]));
      const spread = g.op("Add", [g.op("Mul", [g.op("Sqrt", [v1]), correction!]), g.scalar(epsilon)]);
      return { change: g.op("Mul", [g.op("Div", [m1, spread]), rate!]), slots: [m1, v1] };
    },
  };
}
