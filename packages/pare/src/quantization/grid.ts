/** Ranges of real numbers -> grids; real numbers on a grid -> codes, and back. */
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import { clippedRange } from "./clip.js";
import type { CodeType, Grid, QuantizedTensor } from "./plan.js";

/** Smallest and largest code of each type. */
export const codeRange: Readonly<Record<CodeType, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int4: [-8, 7],
  uint4: [0, 15],
};

/** A scale below this makes its inverse, or a product of two scales, leave the normal float32 numbers. */
const smallestScale = 2 ** -60;

/**
 * The grid of one tensor whose values lie in [low, high]: symmetric for signed types, else asymmetric with zero on a code.
 * `range`: codes in use, the whole type unless given. Throws PareError where the range is not finite.
 */
export function gridOf(
  [low, high]: readonly [number, number],
  type: CodeType,
  range: readonly [number, number] = defaultRange(type),
): Grid {
  const { scale, zero } = spread(low, high, type, range);
  const grid = { type, range, axis: null, block: null };
  return { ...grid, scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zero) };
}

const signed = (type: CodeType): boolean => !type.startsWith("u");
/** Signed types leave out their lowest code, so that zero lies in the middle. */
const defaultRange = (type: CodeType): readonly [number, number] => {
  const [low, high] = codeRange[type];
  return signed(type) ? [-high, high] : [low, high];
};

function spread(low: number, high: number, type: CodeType, [first, last]: readonly [number, number]) {
  if (!Number.isFinite(low) || !Number.isFinite(high))
    throw new PareError(`no grid spans the range ${low} to ${high}: it must be finite`);
  const [a, b] = [Math.min(low, 0), Math.max(high, 0)];
  if (a === b) return { scale: 1, zero: signed(type) ? 0 : first };
  if (signed(type)) return { scale: floored(Math.max(-a / -first, b / last)), zero: 0 };
  const scale = floored((b - a) / (last - first));
  return { scale, zero: clamp(Math.round(first - a / scale), first, last) };
}
const floored = (scale: number): number => Math.max(Math.fround(scale), smallestScale);
const clamp = (v: number, low: number, high: number): number => (v < low ? low : v > high ? high : v);

export interface WeightGridOptions {
  /** int8 unless given. */
  readonly type?: CodeType;
  /** One scale per index of this axis; null: one for the tensor. */
  readonly axis?: number | null;
  /** One scale per this many elements along `axis`, the other axes kept. */
  readonly block?: number | null;
  /** Seven bits of int8: products of pairs cannot saturate where a CPU adds them in 16 bits. */
  readonly reduced?: boolean;
  /** Ends of the range: the extremes, or clipped to the smallest squared error. */
  readonly clip?: "min-max" | "mse";
}

/** The grid of a constant by its own values. */
export function weightGrid(
  values: Float32Array,
  dims: readonly number[],
  { type = "int8", axis = null, block = null, reduced = false, clip = "min-max" }: WeightGridOptions = {},
): Grid {
  const range = reduced && type === "int8" ? ([-64, 64] as const) : defaultRange(type);
  const layout = layoutOf(dims, { axis, block });
  const scale = new Float32Array(layout.count);
  const zeroPoint = new Int32Array(layout.count);
  layout.each((g, gather) => {
    const group = gather(values);
    const [low, high] = clip === "mse" ? clippedRange(group, type, range) : extremes(group);
    const found = spread(low, high, type, range);
    scale[g] = found.scale;
    zeroPoint[g] = found.zero;
  });
  return { type, range, scale, zeroPoint, axis, block };
}

/** Smallest and largest value; 0, 0 of nothing. */
export function extremes(values: ArrayLike<number>): [number, number] {
  let low = 0;
  let high = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!;
    if (v < low) low = v;
    else if (v > high) high = v;
    else if (Number.isNaN(v)) return [Number.NaN, Number.NaN];
  }
  return [low, high];
}

/** Which elements share a scale. Group g holds the elements at offset + i x stride + j, for its i in [from, to) along the axis and j < stride, of every outer index it spans. */
interface Layout {
  readonly count: number;
  /** Group of the element at index i. */
  groupOf(i: number): number;
  each(visit: (group: number, gather: (values: Float32Array) => Float32Array) => void): void;
}
function layoutOf(dims: readonly number[], { axis, block }: { axis: number | null; block: number | null }): Layout {
  const size = sizeOf(dims);
  if (axis === null) return { count: 1, groupOf: () => 0, each: (visit) => visit(0, (values) => values) };
  if (axis < 0 || axis >= dims.length)
    throw new PareError(`a grid along axis ${axis} does not fit a tensor of shape [${dims}]`);
  const length = dims[axis]!;
  const inner = sizeOf(dims.slice(axis + 1));
  const blocks = block === null ? 0 : Math.ceil(length / block);
  const groupOf =
    block === null
      ? (i: number) => Math.floor(i / inner) % length
      : (i: number) => {
          const outer = Math.floor(i / (inner * length));
          return (outer * blocks + Math.floor((Math.floor(i / inner) % length) / block)) * inner + (i % inner);
        };
  const count = block === null ? length : (size / length || 0) * blocks;
  return {
    count,
    groupOf,
    each(visit) {
      const members = membersOf(size, count, groupOf);
      for (let g = 0; g < count; g++) {
        const own = members(g);
        visit(g, (values) => Float32Array.from(own, (i) => values[i]!));
      }
    },
  };
}
/** Indices of the elements of each group, in order. */
function membersOf(size: number, count: number, groupOf: (i: number) => number): (g: number) => Uint32Array {
  const starts = new Uint32Array(count + 1);
  for (let i = 0; i < size; i++) starts[groupOf(i) + 1]!++;
  for (let g = 0; g < count; g++) starts[g + 1]! += starts[g]!;
  const next = starts.slice(0, count);
  const order = new Uint32Array(size);
  for (let i = 0; i < size; i++) order[next[groupOf(i)]!++] = i;
  return (g) => order.subarray(starts[g]!, starts[g + 1]!);
}

/** Group of each element in row-major order, and how many groups there are: the indices of `grid.scale`. */
export function groupsOf(
  dims: readonly number[],
  grid: Pick<Grid, "axis" | "block">,
): { readonly count: number; readonly of: (i: number) => number } {
  const { count, groupOf } = layoutOf(dims, grid);
  return { count, of: groupOf };
}

const codeArrays = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int4: Int8Array,
  uint4: Uint8Array,
} as const;

/** Values on their nearest codes (ties to even, as onnxruntime rounds). Throws PareError where the grid does not fit the shape, or a value is NaN. */
export function quantizeTensor(values: Float32Array, dims: readonly number[], grid: Grid): QuantizedTensor {
  const groups = groupsOf(dims, grid);
  if (grid.scale.length !== groups.count || grid.zeroPoint.length !== groups.count)
    throw new PareError(
      `a tensor of shape [${dims}] has ${groups.count} groups along axis ${grid.axis}; the grid has ${grid.scale.length} scales and ${grid.zeroPoint.length} zero points`,
    );
  const [low, high] = grid.range;
  const codes = new codeArrays[grid.type](values.length);
  for (let i = 0; i < values.length; i++) {
    const g = groups.of(i);
    const code = roundToEven(values[i]! / grid.scale[g]!) + grid.zeroPoint[g]!;
    if (Number.isNaN(code)) throw new PareError(`a tensor of shape [${dims}] holds NaN at element ${i}`);
    codes[i] = clamp(code, low, high);
  }
  return { dims, grid, codes };
}

/** The real numbers that the codes stand for. */
export function dequantizeTensor({ dims, grid, codes }: QuantizedTensor): Float32Array {
  const groups = groupsOf(dims, grid);
  return Float32Array.from(codes, (code, i) => {
    const g = groups.of(i);
    return (code - grid.zeroPoint[g]!) * grid.scale[g]!;
  });
}

/** To the nearest integer, ties to the even one. */
export function roundToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Smallest and largest real number on a grid of one scale. */
export function reach(grid: Grid): [number, number] {
  const [scale, zero] = [grid.scale[0]!, grid.zeroPoint[0]!];
  return [(grid.range[0] - zero) * scale, (grid.range[1] - zero) * scale];
}
