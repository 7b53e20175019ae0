/** Pooling over all spatial axes at once. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import { spread, times } from "./calculus.js";
import { inexact } from "./elementwise.js";
import { lpGradient } from "./pools.js";
import {
  type AttributeReader,
  awaits,
  type GradientSite,
  type Operator,
  ofFirst,
  op,
  type QuantRole,
} from "./record.js";
import { at, need } from "./site.js";
import { keepsZero } from "./zero.js";

/** x [n c s...] -> y [n c 1...]. */
const globalPool = <A>(
  type: string,
  attrs: (r: AttributeReader) => A,
  quant: QuantRole,
  gradient: (g: Emitter, s: GradientSite<A>, dy: string, x: readonly number[]) => string,
  raise: Operator<A>["raise"] = "same",
): Operator =>
  op<A>({
    type,
    domain: "",
    zero: keepsZero,
    homogeneous: ofFirst,
    attrs,
    axes: (s) => `n c s!... -> n c${" 1".repeat(Math.max(0, (s.x[0]?.shape?.length ?? 4) - 2))}`,
    shape: (s) => {
      const x = need(s, 0);
      if (x.shape && x.shape.length < 2)
        throw new PareError(`${at(s.node)}: x [${x.shape.map((d) => d || "?")}] should be [n, c, spatial...]`);
      return [{ type: x.type, shape: x.shape?.map((d, i) => (i < 2 ? d : 1)) ?? null }];
    },
    grad: (g, s) => [s.wanted[0] && s.dy[0] ? gradient(g, s, s.dy[0], s.dims(0)) : null],
    quant,
    packs: awaits("global-pool"),
    raise,
    rewrite: "none needed",
    fold: inexact,
  });

const spatialAxes = (x: readonly number[]): number[] => x.slice(2).map((_, d) => d + 2);

export const globalPools: readonly Operator[] = [
  globalPool(
    "GlobalAveragePool",
    () => ({}),
    "arithmetic",
    (g, _, dy, x) => spread(g, times(g, dy, 1 / sizeOf(x.slice(2))), x),
  ),
  globalPool(
    "GlobalMaxPool",
    () => ({}),
    "passes",
    (g, s, dy, x) => {
      const hits = g.cast(g.op("Equal", [s.inputs[0]!, s.outputs[0]!]), g.floatType);
      return g.op("Mul", [hits, g.op("Div", [dy, g.reduceSum(hits, spatialAxes(x), true)])]);
    },
  ),
  globalPool(
    "GlobalLpPool",
    (r) => {
      const p = r.raw("p");
      return { p: p?.kind === "float" ? p.value : r.int("p", 2) };
    },
    "arithmetic",
    (g, s, dy) => lpGradient(g, s.inputs[0]!, s.outputs[0]!, dy, s.a.p, (v) => v),
    (g, node) => {
      const p = node.attributes.p;
      if (p?.kind !== "float") return "same";
      g.push({ ...node, attributes: { ...node.attributes, p: { kind: "int", value: Math.round(p.value) } } });
      return node.outputs;
    },
  ),
];
