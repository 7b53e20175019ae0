/** Batch normalisation with batch statistics, and its gradient, in plain ONNX. */
import type { Emitter } from "../../graph/emit.js";
import { sizeOf } from "../../graph/tensor.js";
import type { CompositeSite } from "../lower.js";

/** x [n c s...] as rows: sums over all but the channels through a product with ones, many times faster than ReduceSum over two axes. */
class Rows {
  readonly n: number;
  readonly c: number;
  readonly s: number;
  constructor(
    readonly g: Emitter,
    readonly dims: readonly number[],
  ) {
    [this.n, this.c] = dims as [number, number];
    this.s = sizeOf(dims.slice(2));
  }
  sum(x: string): string {
    const { g, n, c, s } = this;
    if (s === 1) return g.reduceSum(g.reshape(x, [n, c]), [0]);
    const sums = g.op("MatMul", [g.reshape(x, [n * c, s]), g.full(1, [s, 1])]);
    return g.reduceSum(g.reshape(sums, [n, c]), [0]);
  }
  mean(x: string): string {
    return this.g.op("Mul", [this.sum(x), this.g.scalar(1 / (this.n * this.s))]);
  }
  wide(v: string): string {
    return this.dims.length > 2 ? this.g.reshape(v, [this.c, ...this.dims.slice(2).map(() => 1)]) : v;
  }
}
const inverseRoot = (g: Emitter, variance: string, epsilon: number): string =>
  g.op("Div", [g.scalar(1), g.op("Sqrt", [g.op("Add", [variance, g.scalar(epsilon)])])]);

/** x, scale, bias -> y, mean, population variance; two passes, so that a large mean costs no digits. */
export function batchNormTraining(g: Emitter, s: CompositeSite): string[] {
  const [x, scale, bias] = s.inputs as [string, string, string];
  const rows = new Rows(g, s.dims(0));
  const mean = rows.mean(x);
  const centred = g.op("Sub", [x, rows.wide(mean)]);
  const variance = rows.mean(g.op("Mul", [centred, centred]));
  const factor = g.op("Mul", [scale, inverseRoot(g, variance, s.float("epsilon"))]);
  const y = g.op("Add", [g.op("Mul", [centred, rows.wide(factor)]), rows.wide(bias)]);
  return [y, mean, variance];
}

/** dy, x, scale, mean, var -> dx, dscale, dbias. */
export function batchNormTrainingGrad(g: Emitter, s: CompositeSite): string[] {
  const [dy, x, scale, mean, variance] = s.inputs as [string, string, string, string, string];
  const rows = new Rows(g, s.dims(1));
  const mul = (a: string, b: string): string => g.op("Mul", [a, b]);
  const r = inverseRoot(g, variance, s.float("epsilon"));
  const centred = g.op("Sub", [x, rows.wide(mean)]);
  const dBias = rows.sum(dy);
  const dScale = mul(rows.sum(mul(dy, centred)), r);
  // dx = scale r (dy - dbias / m - (x - mean) r dscale / m)
  const perElement = g.scalar(1 / (rows.n * rows.s));
  const slope = mul(mul(dScale, r), perElement);
  const inner = g.op("Sub", [g.op("Sub", [dy, rows.wide(mul(dBias, perElement))]), mul(centred, rows.wide(slope))]);
  return [mul(inner, rows.wide(mul(scale, r))), dScale, dBias];
}
