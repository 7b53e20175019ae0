/** Pooling over windows: maximum, average, p-norm. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Dim, Shape } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { times } from "./calculus.js";
import { inexact } from "./elementwise.js";
import {
  type AttributeReader,
  awaits,
  type GradientSite,
  type Operator,
  ofFirst,
  op,
  type QuantRole,
  type Site,
} from "./record.js";
import { at, need } from "./site.js";
import { explicitPads, type FullWindow, fullWindow, slideLength, type Window, windowOf } from "./window.js";
import { keepsZero } from "./zero.js";

interface Pool {
  readonly window: Window;
}

function pooledShape(s: Site<Pool>): Shape | null {
  const x = need(s, 0).shape;
  if (!x) return null;
  if (x.length < 3) throw new PareError(`${at(s.node)}: x [${x.map((d) => d || "?")}] should be [n, c, spatial...]`);
  const f = poolWindow(s, x.length - 2);
  return [x[0]!, x[1]!, ...x.slice(2).map((n, d): Dim => slideLength(s.node, s.a.window, f, d, n))];
}
function poolWindow(s: Site<Pool>, spatial: number): FullWindow {
  if (!s.a.window.kernel) throw new PareError(`${at(s.node)}: attribute "kernel_shape" is missing`);
  return fullWindow(s.node, s.a.window, s.a.window.kernel, spatial);
}

interface Slide {
  readonly f: FullWindow;
  readonly pads: readonly number[];
  readonly x: readonly number[];
  readonly y: readonly number[];
}
const slideOf = (s: GradientSite<Pool>): Slide => {
  const x = s.dims(0);
  const f = poolWindow(s, x.length - 2);
  return { f, pads: explicitPads(s.a.window, f, x.slice(2)), x, y: s.outDims(0) };
};

const pool = <A extends Pool>(
  type: string,
  attrs: (r: AttributeReader) => A,
  quant: QuantRole,
  gradient: (g: Emitter, s: GradientSite<A>, w: Slide, dy: string) => string,
  raise: Operator<A>["raise"] = "same",
): Operator =>
  op<A>({
    type,
    domain: "",
    zero: keepsZero,
    homogeneous: ofFirst,
    attrs,
    axes: (s) => (s.node.outputs[1] ? "n c s!... -> n c t!..., n c t!..." : "n c s!... -> n c t!..."),
    shape: (s) => {
      const y = { type: need(s, 0).type, shape: pooledShape(s) };
      return s.node.outputs[1] ? [y, { type: "int64", shape: y.shape }] : [y];
    },
    grad: (g, s) => [s.wanted[0] && s.dy[0] ? gradient(g, s, slideOf(s), s.dy[0]) : null],
    quant,
    packs: awaits(type === "MaxPool" ? "max-pool" : type === "LpPool" ? "lp-pool" : "average-pool"),
    raise,
    rewrite: "none needed",
    fold: inexact,
  });

/** Sums dy over the windows that each input element stands in: the input gradient of a depthwise Conv of ones. */
export function scatter(g: Emitter, dy: string, { f, pads, x, y }: Slide): string {
  const spatial = f.kernel.length;
  // Exactly the pads that the windows reach: ceil_mode lets them run further than the attribute says, or leaves the last one out.
  const reached = f.kernel.map((k, d) => (y[d + 2]! - 1) * f.strides[d]! + (k - 1) * f.dilations[d]! + 1);
  const ends = reached.map((r, d) => Math.max(0, r - x[d + 2]! - pads[d]!));
  const channels = x[1]!;
  return g.op(
    "ConvInputGrad",
    [dy, g.full(1, [channels, 1, ...f.kernel])],
    {
      kernel_shape: f.kernel,
      strides: f.strides,
      pads: [...pads.slice(0, spatial), ...ends],
      dilations: f.dilations,
      group: channels,
      input_shape: x,
    },
    "pare",
  );
}

/** How many elements each window averages: 1 / count, shaped [1 1 t...]; null where all windows count the same. */
function reciprocalCounts(w: Slide, includePads: boolean): { same: number } | { each: Float32Array; dims: number[] } {
  const { f, pads, x, y } = w;
  const spatial = f.kernel.length;
  const perAxis = f.kernel.map((k, d) =>
    Array.from({ length: y[d + 2]! }, (_, t) => {
      const start = t * f.strides[d]! - pads[d]!;
      const [from, to] = includePads ? [-pads[d]!, x[d + 2]! + pads[spatial + d]!] : [0, x[d + 2]!];
      return Array.from({ length: k }, (_, i) => start + i * f.dilations[d]!).filter((p) => p >= from && p < to).length;
    }),
  );
  if (perAxis.every((counts) => counts.every((c) => c === counts[0])))
    return { same: 1 / perAxis.reduce((p, counts) => p * counts[0]!, 1) };
  const dims = [1, 1, ...y.slice(2)];
  const each = new Float32Array(sizeOf(dims));
  for (let k = 0; k < each.length; k++) {
    let rest = k;
    let count = 1;
    for (let d = spatial - 1; d >= 0; d--) {
      count *= perAxis[d]![rest % y[d + 2]!]!;
      rest = Math.floor(rest / y[d + 2]!);
    }
    each[k] = 1 / count;
  }
  return { each, dims };
}

const maxPool = pool(
  "MaxPool",
  (r) => ({ window: windowOf(r, "pool") }),
  "passes",
  (g, s, w, dy) =>
    g.op(
      "MaxPoolGrad",
      [dy, s.inputs[0]!, s.outputs[0]!],
      {
        kernel_shape: w.f.kernel,
        strides: w.f.strides,
        pads: w.pads,
        dilations: w.f.dilations,
        ceil_mode: s.a.window.ceil ? 1 : 0,
      },
      "pare",
    ),
);

const averagePool = pool(
  "AveragePool",
  (r) => ({ window: windowOf(r, "pool"), includePads: r.int("count_include_pad", 0) !== 0 }),
  "arithmetic",
  (g, s, w, dy) => {
    const counts = reciprocalCounts(w, s.a.includePads);
    if ("same" in counts) return scatter(g, times(g, dy, counts.same), w);
    const each = g.constant(floats(counts.each, counts.dims), "counts");
    const factor = g.floatType === "float32" ? each : g.cast(each, g.floatType);
    return scatter(g, g.op("Mul", [dy, factor]), w);
  },
);

/** y = (sum |x|^p)^(1/p) over the window. Version 1 kept p as a float. */
const lpPool = pool(
  "LpPool",
  (r) => {
    const p = r.raw("p");
    return { window: windowOf(r, "pool"), p: p?.kind === "float" ? p.value : r.int("p", 2) };
  },
  "arithmetic",
  (g, s, w, dy) => lpGradient(g, s.inputs[0]!, s.outputs[0]!, dy, s.a.p, (v) => scatter(g, v, w)),
  (g, node) => {
    const p = node.attributes.p;
    if (p?.kind !== "float") return "same";
    g.push({ ...node, attributes: { ...node.attributes, p: { kind: "int", value: Math.round(p.value) } } });
    return node.outputs;
  },
);

/** |x|^(p-1) sign(x) up(dy y^(1-p)): the gradient of a p-norm, where `up` hands a window's value to its elements. */
export function lpGradient(g: Emitter, x: string, y: string, dy: string, p: number, up: (v: string) => string): string {
  if (p === 1) return g.op("Mul", [g.op("Sign", [x]), up(dy)]);
  // A window of zeros has norm 0 and no gradient: dividing by 1 there keeps 0.
  const safe = g.op("Where", [g.op("Equal", [y, g.scalar(0)]), g.scalar(1), y]);
  if (p === 2) return g.op("Mul", [x, up(g.op("Div", [dy, safe]))]);
  const each = g.op("Mul", [g.op("Sign", [x]), g.op("Pow", [g.op("Abs", [x]), g.scalar(p - 1)])]);
  return g.op("Mul", [each, up(g.op("Div", [dy, g.op("Pow", [safe, g.scalar(p - 1)])]))]);
}

export const pools: readonly Operator[] = [maxPool, averagePool, lpPool];
