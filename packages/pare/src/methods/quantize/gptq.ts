/**
 * GPTQ: a matrix that multiplies data, its grid and the data's second moments come in; codes go out that change the product less than the nearest
 * codes do, because each rounding error is made up for by the weights that are not rounded yet.
 *
 * Frantar, Ashkboos, Hoefler, Alistarh: GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, ICLR 2023; algorithm 1.
 *
 * Differs from the paper:
 * - Nothing is inverted: errors are made up for by a Cholesky factor of the Hessian itself, its inputs from the last to the first. With the factor of the
 *   inverse these are the same numbers, but for rounding.
 * - Inputs go in the order of falling energy (the authors' "act order"), on scales that are fixed before ("static groups"), so blocks stay whole.
 * - Inputs that were never seen keep their nearest codes instead of zero: there may be more in the data than in its samples.
 * - A row is updated when its turn comes, by all errors before it, not in lazy batches.
 */
import { PareError } from "../../graph/error.js";
import { cholesky } from "../../linear/cholesky.js";
import { matrix } from "../../linear/matrix.js";
import { groupsOf, quantizeTensor, roundToEven } from "../../quantization/grid.js";
import type { Grid, QuantizedTensor } from "../../quantization/plan.js";

export interface GptqOptions {
  /** Where the inputs lie: axis 0 of [k, n] (MatMul, Gemm), or the last of [n, k] (Gemm with transB, Conv as [o, c x kh x kw]). 0 unless given. */
  readonly inputAxis?: 0 | 1;
  /** Groups of a Conv, whose outputs lie along axis 0 and read inputs of their own; 1 unless given. */
  readonly groups?: number;
  /** Share of the mean energy that is added to every input's own; 0.01 unless given. */
  readonly damping?: number;
  /** Inputs of most energy first; true unless told otherwise. */
  readonly byEnergy?: boolean;
}

/**
 * `values`: the weight; `dims`: of the weight, of which those behind the first are taken together where inputs lie last. `moments`: X^T X [k k], row-major,
 * one after another where there are groups, whatever their scale: `secondMoments` measures them. Throws PareError where sizes disagree or the moments are
 * not finite.
 */
export function gptq(
  values: Float32Array,
  dims: readonly number[],
  grid: Grid,
  moments: Float64Array,
  options: GptqOptions = {},
): QuantizedTensor {
  const groups = options.groups ?? 1;
  const first = dims[0] ?? 1;
  const rest = values.length / first;
  const byRow = (options.inputAxis ?? 0) === 0;
  const [k, n] = byRow ? [first, rest] : [rest, first / groups];
  if (moments.length !== groups * k * k || !Number.isInteger(n) || (byRow && groups > 1))
    throw new PareError(
      `GPTQ: a weight [${dims}] of ${k} inputs needs ${groups > 1 ? `${groups}x` : ""}${k}x${k} second moments, got ${moments.length}`,
    );
  const nearest = quantizeTensor(values, dims, grid);
  const codes = nearest.codes.slice();
  const { of } = groupsOf(dims, grid);
  for (let g = 0; g < groups; g++) {
    const own = moments.subarray(g * k * k, (g + 1) * k * k);
    const order = orderOf(own, k, options.byEnergy ?? true);
    const factor = dampedFactor(own, order, options.damping ?? 0.01);
    const at = (i: number, o: number) => (byRow ? order[i]! * n + o : (g * n + o) * k + order[i]!);
    const [low, high] = grid.range;
    const error = new Float64Array(k * n);
    const owed = new Float64Array(n);
    for (let i = 0; i < k; i++) {
      gather(owed, factor, error, i, k, n);
      const pivot = factor[(k - 1 - i) * (k + 1)]!;
      for (let o = 0; o < n; o++) {
        const index = at(i, o);
        const group = of(index);
        const [scale, zero] = [grid.scale[group]!, grid.zeroPoint[group]!];
        const wanted = values[index]! + owed[o]! / pivot;
        const code = Math.min(high, Math.max(low, roundToEven(wanted / scale) + zero));
        codes[index] = code;
        error[i * n + o] = values[index]! - (code - zero) * scale;
      }
    }
  }
  return { dims, grid, codes };
}

/**
 * owed [n]: what the errors [k n] of the inputs before the i-th leave in the i-th row of the factor's product with them. Four rows at a time, since reading
 * and writing `owed` costs as much as a product.
 */
function gather(owed: Float64Array, factor: Float64Array, error: Float64Array, i: number, k: number, n: number): void {
  owed.fill(0);
  const column = k - 1 - i;
  const of = (j: number): number => factor[(k - 1 - j) * k + column]!;
  let j = 0;
  for (; j + 3 < i; j += 4) {
    const [a, b, c, d] = [of(j), of(j + 1), of(j + 2), of(j + 3)];
    const [p, q, r, s] = [j * n, (j + 1) * n, (j + 2) * n, (j + 3) * n];
    for (let o = 0; o < n; o++)
      owed[o]! += a * error[p + o]! + b * error[q + o]! + c * error[r + o]! + d * error[s + o]!;
  }
  for (; j < i; j++) {
    const a = of(j);
    for (let o = 0; o < n; o++) owed[o]! += a * error[j * n + o]!;
  }
}

function orderOf(moments: Float64Array, k: number, byEnergy: boolean): readonly number[] {
  const order = Array.from({ length: k }, (_, i) => i);
  return byEnergy ? order.sort((a, b) => moments[b * k + b]! - moments[a * k + a]! || a - b) : order;
}

/**
 * L, lower triangular, with L L^T the damped moments, inputs in reverse of the given order: what errors e do to the product is |L^T e|^2, of which each
 * input's row holds it and those before it. Damping grows until there is one.
 */
function dampedFactor(moments: Float64Array, order: readonly number[], damping: number): Float64Array {
  const k = order.length;
  let mean = 0;
  for (let i = 0; i < k; i++) mean += moments[i * k + i]! / k;
  if (!Number.isFinite(mean)) throw new PareError("GPTQ: the second moments of the data are not finite");
  for (let share = damping; ; share = Math.max(share, 1e-6) * 10) {
    const h = matrix(k, k);
    for (let i = 0; i < k; i++) {
      const from = order[k - 1 - i]! * k;
      for (let j = 0; j < k; j++) h.data[i * k + j] = moments[from + order[k - 1 - j]!]!;
      h.data[i * k + i] = h.data[i * k + i]! > 0 ? h.data[i * k + i]! + share * mean : mean || 1;
    }
    try {
      return cholesky(h).data;
    } catch {
      if (share > 1e6)
        throw new PareError("GPTQ: the second moments of the data are no second moments: not symmetric, or not finite");
    }
  }
}
