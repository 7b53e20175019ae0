/**
 * GPTQ: a matrix that multiplies data, its grid and the data's second moments come in; codes go out that change the product less than the nearest
 * codes do, because each rounding error is made up for by the weights that are not rounded yet.
 *
 * Frantar, Ashkboos, Hoefler, Alistarh: GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, ICLR 2023; algorithm 1.
 *
 * Differs from the paper:
 * - The factor of the inverse Hessian comes from a Cholesky factorisation from the last row up, without inverting the Hessian.
 * - Inputs go in the order of falling energy (the authors' "act order"), on scales that are fixed before ("static groups"), so blocks stay whole.
 * - Inputs that were never seen keep their nearest codes instead of zero: there may be more in the data than in its samples.
 * - Rows are updated at once, not in lazy batches: matrices are small here.
 */
import { PareError } from "../../graph/error.js";
import { inverseFactor } from "../../linear/cholesky.js";
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
    const w = new Float64Array(k * n);
    for (let i = 0; i < k; i++) for (let o = 0; o < n; o++) w[i * n + o] = values[at(i, o)]!;
    const round = (i: number, o: number): number => {
      const index = at(i, o);
      const [scale, zero] = [grid.scale[of(index)]!, grid.zeroPoint[of(index)]!];
      const code = Math.min(grid.range[1], Math.max(grid.range[0], roundToEven(w[i * n + o]! / scale) + zero));
      codes[index] = code;
      return (code - zero) * scale;
    };
    compensate(w, factor, k, n, round);
  }
  return { dims, grid, codes };
}

/** Rounds the rows of w [k n] one after another; rows that follow make up for the error of those before. */
function compensate(
  w: Float64Array,
  factor: Float64Array,
  k: number,
  n: number,
  round: (i: number, o: number) => number,
): void {
  const error = new Float64Array(n);
  for (let i = 0; i < k; i++) {
    const pivot = factor[i * k + i]!;
    // Equation 2, with the row of the factor for the row of the inverse (step 3 of the paper).
    for (let o = 0; o < n; o++) error[o] = (w[i * n + o]! - round(i, o)) / pivot;
    for (let j = i + 1; j < k; j++) {
      const f = factor[i * k + j]!;
      if (f !== 0) for (let o = 0, to = j * n; o < n; o++, to++) w[to]! -= f * error[o]!;
    }
  }
}

function orderOf(moments: Float64Array, k: number, byEnergy: boolean): readonly number[] {
  const order = Array.from({ length: k }, (_, i) => i);
  return byEnergy ? order.sort((a, b) => moments[b * k + b]! - moments[a * k + a]! || a - b) : order;
}

/** The upper triangular U with H^-1 = U^T U, where H are the damped moments in the given order. Damping grows until H is positive definite. */
function dampedFactor(moments: Float64Array, order: readonly number[], damping: number): Float64Array {
  const k = order.length;
  let mean = 0;
  for (let i = 0; i < k; i++) mean += moments[i * k + i]! / k;
  if (!Number.isFinite(mean)) throw new PareError("GPTQ: the second moments of the data are not finite");
  for (let share = damping; ; share = Math.max(share, 1e-6) * 10) {
    const h = matrix(k, k);
    for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) h.data[i * k + j] = moments[order[i]! * k + order[j]!]!;
    for (let i = 0; i < k; i++)
      h.data[i * k + i] = h.data[i * k + i]! > 0 ? h.data[i * k + i]! + share * mean : mean || 1;
    try {
      return inverseFactor(h).data;
    } catch {
      if (share > 1e6)
        throw new PareError("GPTQ: the second moments of the data are no second moments: not symmetric, or not finite");
    }
  }
}
