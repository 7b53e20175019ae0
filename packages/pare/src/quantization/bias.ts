/** A float bias -> int32 codes on the product of the scales of data and weights, as integer kernels add it. */
import { roundToEven } from "./grid.js";
import type { Grid, QuantizedTensor } from "./plan.js";

/** Half of int32: room for the sum that the bias is added to. */
const largest = 2 ** 30;

export interface Int32Bias {
  readonly codes: Int32Array;
  /** As many as the weight's scales. */
  readonly scale: Float32Array;
  /** The weight; coarser where its scale was so small against the bias that the bias would not fit int32. */
  readonly weight: QuantizedTensor;
}

/** `weight`: one scale, or one per output channel. */
export function int32Bias(weight: QuantizedTensor, bias: Float32Array, data: Grid): Int32Bias {
  const { grid } = weight;
  const input = data.scale[0]!;
  const groups = grid.scale.length;
  const of = (channel: number) => (groups === 1 ? 0 : channel);
  const scale = grid.scale.map((s) => Math.fround(input * s));
  const needed = new Float32Array(groups);
  bias.forEach((b, channel) => {
    const g = of(channel);
    needed[g] = Math.max(needed[g]!, Math.abs(b) / largest);
  });
  const coarser = grid.scale.map((s, g) => (scale[g]! < needed[g]! ? Math.fround(needed[g]! / input) : s));
  const fits = coarser.every((s, g) => s === grid.scale[g]);
  const final = fits ? scale : coarser.map((s) => Math.fround(input * s));
  const codes = Int32Array.from(bias, (b, channel) => roundToEven(b / final[of(channel)]!));
  return { codes, scale: final, weight: fits ? weight : rescaled(weight, coarser) };
}

/** The same weights on other scales along the same axis. */
function rescaled(weight: QuantizedTensor, scale: Float32Array): QuantizedTensor {
  const { grid, dims, codes } = weight;
  const inner = grid.axis === null ? 1 : dims.slice(grid.axis + 1).reduce((p, d) => p * d, 1);
  const of = (i: number) => (grid.axis === null ? 0 : Math.floor(i / inner) % dims[grid.axis]!);
  const changed = codes.map((code, i) => {
    const g = of(i);
    return roundToEven(((code - grid.zeroPoint[g]!) * grid.scale[g]!) / scale[g]!) + grid.zeroPoint[g]!;
  });
  return { dims, grid: { ...grid, scale }, codes: changed };
}
