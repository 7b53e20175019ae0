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
  const groups = groupsOf(dims, { axis, block });
  const [lows, highs] = clip === "mse" ? clipped(values, groups, type, range) : extremesOf(values, groups);
  const scale = new Float32Array(groups.count);
  const zeroPoint = new Int32Array(groups.count);
  for (let g = 0; g < groups.count; g++) {
    const found = spread(lows[g]!, highs[g]!, type, range);
    scale[g] = found.scale;
    zeroPoint[g] = found.zero;
  }
  return { type, range, scale, zeroPoint, axis, block };
}

/** Smallest and largest value, zero among them; NaN where one is. */
export function extremes(values: Float32Array): [number, number] {
  const [lows, highs] = extremesOf(values, groupsOf([values.length], { axis: null, block: null }));
  return [lows[0]!, highs[0]!];
}
function extremesOf(values: Float32Array, groups: Groups): readonly [Float32Array, Float32Array] {
  const lows = new Float32Array(groups.count);
  const highs = new Float32Array(groups.count);
  groups.eachRun((start, length, group, step) => {
    for (let j = 0, g = group; j < length; j++, g += step) {
      const v = values[start + j]!;
      // A NaN compares false with everything, and stays once it is in.
      if (!(v >= lows[g]!)) lows[g] = v;
      if (!(v <= highs[g]!)) highs[g] = v;
    }
  });
  return [lows, highs];
}
function clipped(values: Float32Array, groups: Groups, type: CodeType, range: readonly [number, number]) {
  const sizes = new Uint32Array(groups.count);
  groups.eachRun((_, length, group, step) => {
    for (let j = 0, g = group; j < length; j++, g += step) sizes[g]!++;
  });
  const members = Array.from(sizes, (n) => new Float32Array(n));
  const next = new Uint32Array(groups.count);
  groups.eachRun((start, length, group, step) => {
    for (let j = 0, g = group; j < length; j++, g += step) members[g]![next[g]!++] = values[start + j]!;
  });
  const ends = members.map((own) => clippedRange(own, type, range));
  return [ends.map(([low]) => low), ends.map(([, high]) => high)] as const;
}

/** Which elements share a scale. */
export interface Groups {
  readonly count: number;
  /** Group of the element at a row-major index: an index of `grid.scale`. */
  of(i: number): number;
  /** All elements in runs: element start + j, j < length, is of group + j x step, step 0 or 1. */
  eachRun(visit: (start: number, length: number, group: number, step: 0 | 1) => void): void;
}
/** Throws PareError where the axis does not exist. */
export function groupsOf(dims: readonly number[], { axis, block }: Pick<Grid, "axis" | "block">): Groups {
  const size = sizeOf(dims);
  if (axis === null) return { count: 1, of: () => 0, eachRun: (visit) => visit(0, size, 0, 0) };
  if (axis < 0 || axis >= dims.length)
    throw new PareError(`a grid along axis ${axis} does not fit a tensor of shape [${dims}]`);
  const length = dims[axis]!;
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const blocks = block === null ? 0 : Math.ceil(length / block);
  const groupAt = (o: number, a: number) => (block === null ? a : (o * blocks + Math.floor(a / block)) * inner);
  return {
    count: block === null ? length : outer * blocks * inner,
    of(i) {
      const row = Math.floor(i / inner);
      return groupAt(Math.floor(row / length), row % length) + (block === null ? 0 : i % inner);
    },
    eachRun(visit) {
      for (let o = 0, start = 0; o < outer; o++)
        for (let a = 0; a < length; a++, start += inner) visit(start, inner, groupAt(o, a), block === null ? 0 : 1);
    },
  };
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
  groups.eachRun((start, length, group, step) => {
    for (let i = start, g = group; i < start + length; i++, g += step) {
      const code = roundToEven(values[i]! / grid.scale[g]!) + grid.zeroPoint[g]!;
      if (Number.isNaN(code)) throw new PareError(`a tensor of shape [${dims}] holds NaN at element ${i}`);
      codes[i] = clamp(code, low, high);
    }
  });
  return { dims, grid, codes };
}

/** The real numbers that the codes stand for. */
export function dequantizeTensor({ dims, grid, codes }: QuantizedTensor): Float32Array {
  const values = new Float32Array(codes.length);
  groupsOf(dims, grid).eachRun((start, length, group, step) => {
    for (let i = start, g = group; i < start + length; i++, g += step)
      values[i] = (codes[i]! - grid.zeroPoint[g]!) * grid.scale[g]!;
  });
  return values;
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
