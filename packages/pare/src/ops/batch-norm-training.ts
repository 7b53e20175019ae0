/** BatchNormalization with the batch's own statistics, its gradient, and the gradient of that. */
import type { Emitter } from "../graph/emit.js";
import { inexact } from "./elementwise.js";
import { type AttributeReader, type GradientSite, none, type Operator, op } from "./record.js";
import { need } from "./site.js";

const training = none("occurs in training graphs only");
const facets = {
  domain: "pare",
  quant: training,
  packs: training,
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
} as const;
interface Epsilon {
  readonly epsilon: number;
}
const attrs = (r: AttributeReader): Epsilon => ({ epsilon: r.float("epsilon", 1e-5) });

/** x [n c s...], scale, bias [c] -> y, and the batch's mean and population variance [c]. */
const batchNormTraining = op<Epsilon>({
  ...facets,
  type: "BatchNormTraining",
  attrs,
  axes: "n c s..., c, c -> n c s..., c, c",
  shape: (s) => [need(s, 0), need(s, 1), need(s, 1)],
  grad: (g, s) => {
    const [x, scale] = s.inputs as [string, string];
    const [, mean, variance] = s.outputs as [string, string, string];
    const [dy, dMean, dVariance] = s.dy;
    const c = new Channels(g, s.dims(0));
    const [dx, dScale, dBias] = dy
      ? g.ops("BatchNormTrainingGrad", [dy, x, scale, mean, variance], { epsilon: { float: s.a.epsilon } }, 3, "pare")
      : [null, null, null];
    let through: string | null = dx!;
    const add = (d: string): void => {
      through = through ? g.op("Add", [through, d]) : d;
    };
    if (s.wanted[0] && dMean) add(g.op("Expand", [c.wide(c.over(dMean)), g.ints(s.dims(0))]));
    if (s.wanted[0] && dVariance) {
      const centred = g.op("Sub", [x, c.wide(mean)]);
      add(g.op("Mul", [centred, c.wide(g.op("Mul", [c.over(dVariance), g.scalar(2)]))]));
    }
    return [s.wanted[0] ? through : null, s.wanted[1] ? dScale! : null, s.wanted[2] ? dBias! : null];
  },
});

/** dy, x [n c s...], scale, mean, var [c] -> dx, dscale, dbias, where mean and var are functions of x for dx. */
const batchNormTrainingGrad = op<Epsilon>({
  ...facets,
  type: "BatchNormTrainingGrad",
  attrs,
  axes: "n c s..., n c s..., c, c, c -> n c s..., c, c",
  shape: (s) => [need(s, 1), need(s, 2), need(s, 2)],
  grad: (g, s) => secondOrder(g, s),
});

/** Per-channel vectors against x. */
class Channels {
  readonly #axes: number[];
  readonly #wide: number[];
  readonly #count: number;
  constructor(
    readonly g: Emitter,
    readonly dims: readonly number[],
  ) {
    this.#axes = dims.map((_, d) => d).filter((d) => d !== 1);
    this.#wide = [dims[1]!, ...dims.slice(2).map(() => 1)];
    this.#count = this.#axes.reduce((p, d) => p * dims[d]!, 1);
  }
  wide(v: string): string {
    return this.dims.length > 2 ? this.g.reshape(v, this.#wide) : v;
  }
  sum(x: string): string {
    return this.g.reduceSum(x, this.#axes);
  }
  /** v / (elements per channel). */
  over(v: string): string {
    return this.g.op("Mul", [v, this.g.scalar(1 / this.#count)]);
  }
}

/**
 * Reverse mode over r = (var + e)^-1/2, h = (x - mean) r, dbias = sum dy, dscale = sum dy h, k = scale r,
 * t = dy - dbias / m - h dscale / m, dx = k t. `u`, `a`, `b` are the gradients of dx, dscale, dbias.
 */
function secondOrder(g: Emitter, s: GradientSite<Epsilon>): (string | null)[] {
  const [dy, x, scale, mean, variance] = s.inputs as [string, string, string, string, string];
  const [, dScale, dBias] = s.outputs as [string, string, string];
  const c = new Channels(g, s.dims(1));
  const mul = (p: string, q: string): string => g.op("Mul", [p, q]);
  const sub = (p: string, q: string): string => g.op("Sub", [p, q]);
  const add = (p: string | null, q: string): string => (p ? g.op("Add", [p, q]) : q);
  const neg = (p: string): string => g.op("Neg", [p]);
  const r = g.op("Div", [g.scalar(1), g.op("Sqrt", [g.op("Add", [variance, g.scalar(s.a.epsilon)])])]);
  const centred = sub(x, c.wide(mean));
  const h = mul(centred, c.wide(r));
  const [u, a = null, b = null] = s.dy;

  let toDy: string | null = null;
  let toH: string | null = null;
  let toR: string | null = null;
  let toScale: string | null = null;
  let toDScale = a;
  let toDBias = b;
  if (u) {
    // The node's own outputs: where nobody named them they are summed again.
    const sumScale = dScale || c.sum(mul(dy, h));
    const sumBias = dBias || c.sum(dy);
    const k = mul(scale, r);
    const t = sub(sub(dy, c.wide(c.over(sumBias))), mul(h, c.wide(c.over(sumScale))));
    const toT = mul(u, c.wide(k));
    const toK = c.sum(mul(u, t));
    toDy = toT;
    toH = neg(mul(toT, c.wide(c.over(sumScale))));
    toDScale = add(toDScale, neg(c.over(c.sum(mul(toT, h)))));
    toDBias = add(toDBias, neg(c.over(c.sum(toT))));
    toScale = mul(toK, r);
    toR = mul(toK, scale);
  }
  if (toDBias) {
    const wide = c.wide(toDBias);
    toDy = toDy ? add(toDy, wide) : g.op("Expand", [wide, g.ints(s.dims(0))]);
  }
  if (toDScale) {
    const wide = c.wide(toDScale);
    toDy = add(toDy, mul(h, wide));
    toH = add(toH, mul(dy, wide));
  }
  const toX = toH && mul(toH, c.wide(r));
  if (toH) toR = add(toR, c.sum(mul(toH, centred)));
  const toVariance = toR && mul(toR, mul(g.scalar(-0.5), mul(r, mul(r, r))));
  const all = [toDy, toX, toScale, toX && neg(c.sum(toX)), toVariance];
  return all.map((d, i) => (s.wanted[i] ? d : null));
}

export const batchNormTrainings: readonly Operator[] = [batchNormTraining, batchNormTrainingGrad];
