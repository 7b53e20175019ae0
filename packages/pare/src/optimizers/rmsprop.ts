/**
 * RMSProp. Tieleman, Hinton, Lecture 6.5: divide the gradient by a running average of its recent magnitude, 2012.
 * Differs from the lecture: an epsilon beside the root, and a momentum over the scaled gradient (as PyTorch does).
 */
import { PareError } from "../graph/error.js";
import type { Rule } from "./rule.js";

/** v' = d v + (1 - d) g^2; b' = m b + g / (sqrt(v') + epsilon); change = r b'. Throws for options out of range. */
export function rmsprop({
  decay = 0.99,
  momentum = 0,
  epsilon = 1e-8,
}: {
  decay?: number;
  momentum?: number;
  epsilon?: number;
}): Rule {
  for (const [name, value] of Object.entries({ decay, momentum }))
    if (!(value >= 0 && value < 1)) throw new PareError(`rmsprop: ${name} ${value} is outside [0, 1)`, "usage");
  if (!(epsilon > 0)) throw new PareError(`rmsprop: epsilon ${epsilon} should be above 0`, "usage");
  return {
    slots: momentum ? 2 : 1,
    scalars: (_t, rate) => [rate],
    emit(g, gradient, [v, b], [rate]) {
      const square = g.op("Mul", [gradient, gradient]);
      const v1 = g.op("Add", [g.op("Mul", [v!, g.scalar(decay)]), g.op("Mul", [square, g.scalar(1 - decay)])]);
      const scaled = g.op("Div", [gradient, g.op("Add", [g.op("Sqrt", [v1]), g.scalar(epsilon)])]);
      if (b === undefined) return { change: g.op("Mul", [scaled, rate!]), slots: [v1] };
      const b1 = g.op("Add", [g.op("Mul", [b, g.scalar(momentum)]), scaled]);
      return { change: g.op("Mul", [b1, rate!]), slots: [v1, b1] };
    },
  };
}
