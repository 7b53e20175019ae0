/** Grids of int8 weights whose products with data in 0..255, added in pairs, stay within 16 bits: what kernels without VNNI compute without error. */
import { sizeOf } from "../graph/tensor.js";
import { groupsOf } from "./grid.js";
import type { Grid } from "./plan.js";

/** 127 + 1 for rounding, times 255, is below 2^15. */
const largestPair = 127;

/**
 * The same grid with scales raised where two neighbours of one sum would overflow. Kernels add products of neighbours (0, 1), (2, 3), .. along
 * the axes that are summed over, a filter's channels last. A flat reduction to 7 bits doubles every scale; neighbours
 * are seldom both large and of one sign, so this costs far less.
 */
export function withoutOverflow(grid: Grid, values: Float32Array, dims: readonly number[]): Grid {
  if (grid.type !== "int8") return grid;
  const groups = groupsOf(dims, grid);
  const scale = grid.scale.slice();
  const largest = new Float32Array(groups.count);
  pairs(
    dims,
    grid,
  )((i, j) => {
    const [a, b] = [values[i]!, j < 0 ? 0 : values[j]!];
    const sum = Math.max(Math.max(a, 0) + Math.max(b, 0), -Math.min(a, 0) - Math.min(b, 0));
    const g = groups.of(i);
    if (sum > largest[g]!) largest[g] = sum;
  });
  for (let g = 0; g < scale.length; g++) scale[g] = Math.max(scale[g]!, largest[g]! / largestPair);
  return { ...grid, scale };
}

type Pairs = (visit: (i: number, j: number) => void) => void;

/** Neighbours along each sum. A matrix [k, n] is summed down its columns, everything else along what follows the first axis (a row: the last). */
function pairs(dims: readonly number[], { axis, block }: Grid): Pairs {
  if (dims.length === 2 && axis !== 0) return along(dims[1]!, 1, dims[0]!, dims[1]!);
  if (block !== null || dims.length === 2) return along(sizeOf(dims.slice(0, -1)), dims.at(-1)!, dims.at(-1)!, 1);
  const [o, c] = [dims[0]!, dims[1]!];
  const taps = sizeOf(dims.slice(2));
  return (visit) => {
    for (let row = 0; row < o; row++) {
      const at = (k: number) => (k < c * taps ? row * c * taps + (k % c) * taps + Math.floor(k / c) : -1);
      for (let k = 0; k < c * taps; k += 2) visit(at(k), at(k + 1));
    }
  };
}
/** `rows` sums of `length` elements each; row r starts at r x pitch, and its elements are `stride` apart. */
function along(rows: number, pitch: number, length: number, stride: number): Pairs {
  return (visit) => {
    for (let r = 0; r < rows; r++)
      for (let k = 0; k < length; k += 2)
        visit(r * pitch + k * stride, k + 1 < length ? r * pitch + (k + 1) * stride : -1);
  };
}
