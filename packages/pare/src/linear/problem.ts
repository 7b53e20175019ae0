/** What a replacement of a layer's weight should come close to: a layer and moments enter; the goal and how distance from it is measured leave. */
import { definite, ridged, solveRows } from "./cholesky.js";
import type { LinearLayer } from "./layers.js";
import { addScaled, dot, type Matrix, matrix, multiply, rowOf } from "./matrix.js";
import type { Moments } from "./moments.js";

/**
 * Minimise |(W - best) metric^(1/2)|^2, which is the mean squared error of the layer's answers up to a constant: with second moments G of
 * the input and C of answer and input, |t - W x|^2 = |t|^2 - 2 <W, C> + <W G, W>, least at best = C G^-1.
 */
export interface Problem {
  readonly layer: LinearLayer;
  /** [o n] */
  readonly best: Matrix;
  /** [n n]; null: the identity, when no data was there. */
  readonly metric: Matrix | null;
  /** best times metric: [o n]. */
  readonly cross: Matrix;
  readonly moments: Moments | null;
}

/** Few samples say little of rare directions, rounding even less. */
export const usualRidge = 0.1;

/** `ridge`: share of the mean diagonal of G by which the weight is drawn to what it was. */
export function problemOf(layer: LinearLayer, moments: Moments | null, ridge = usualRidge): Problem {
  const { weight } = layer;
  if (!moments) return { layer, best: weight, metric: null, cross: weight, moments };
  if (moments.own) {
    const metric = ridged(moments.input, ridge);
    return { layer, best: weight, metric, cross: multiply(weight, metric), moments };
  }
  const { matrix: metric, triangle } = definite(moments.input, ridge);
  const added = metric.data[0]! - moments.input.data[0]!;
  const cross = matrix(weight.rows, weight.cols, moments.cross.data.slice());
  addScaled(cross.data, added, weight.data);
  return { layer, best: solveRows(triangle, cross), metric, cross, moments };
}

/** a [m n] times the metric. */
export const measured = (a: Matrix, metric: Matrix | null): Matrix => (metric ? multiply(a, metric) : a);

/** Mean square of the best answers: what all errors are shares of. */
export const energyOf = ({ best, cross }: Problem): number => dot(best.data, cross.data);

/** Mean squared difference of the answers of `weight` [o n] from the best. */
export function distance({ best, metric }: Problem, weight: Matrix): number {
  const off = matrix(weight.rows, weight.cols, weight.data.slice());
  addScaled(off.data, -1, best.data);
  return dot(off.data, measured(off, metric).data);
}

/** The bias [o] with which `weight` answers right on average; null: the layer takes none. */
export function biasFor({ layer, moments }: Problem, weight: Matrix): Float64Array | null {
  if (!moments || !layer.takesBias) return layer.bias;
  return moments.targetMean.map((t, o) => t - dot(rowOf(weight, o), moments.inputMean));
}
