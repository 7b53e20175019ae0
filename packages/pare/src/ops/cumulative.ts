/** Running sums along an axis. */
import { axisIn } from "./dims.js";
import { awaits, none, type Operator, op } from "./record.js";
import { need } from "./site.js";
import { intsOf } from "./values.js";
import { keepsZero } from "./zero.js";

interface Running {
  readonly exclusive: boolean;
  readonly reverse: boolean;
}
const cumSum = op<Running>({
  type: "CumSum",
  zero: keepsZero,
  domain: "",
  attrs: (r) => ({ exclusive: r.int("exclusive", 0) !== 0, reverse: r.int("reverse", 0) !== 0 }),
  axes: (s) => {
    const shape = need(s, 0).shape;
    const axis = intsOf(s.value(1))?.[0];
    if (!shape || axis === undefined) return none("the axis is not known before running");
    const at = axisIn(s.node, axis, shape.length);
    const letters = shape.map((_, d) => `a${d}x${d === at ? "!" : ""}`).join(" ");
    return `${letters}, -> ${letters}`;
  },
  shape: (s) => [need(s, 0)],
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy || !s.wanted[0]) return [null, null];
    const attributes = { ...(s.a.exclusive ? { exclusive: 1 } : {}), ...(s.a.reverse ? {} : { reverse: 1 }) };
    return [g.op("CumSum", [dy, s.inputs[1]!], attributes), null];
  },
  quant: "arithmetic",
  packs: awaits("cumsum"),
  raise: "same",
  rewrite: "none needed",
  fold: none("no shape arithmetic uses it"),
});

export const cumulative: readonly Operator[] = [cumSum];
