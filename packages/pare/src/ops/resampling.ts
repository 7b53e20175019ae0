/** The matrix of resampling one axis as ONNX's Resize defines it: a filter and lengths in, [out, in] weights out. */
import { PareError } from "../graph/error.js";

export interface Filter {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubic: number;
  readonly excludeOutside: boolean;
}

/** Where output index `k` lies on the input axis. */
function source(coordinates: string, k: number, from: number, to: number, scale: number): number {
  switch (coordinates) {
    case "asymmetric":
      return k / scale;
    case "align_corners":
      return to === 1 ? 0 : (k * (from - 1)) / (to - 1);
    case "pytorch_half_pixel":
      return to > 1 ? (k + 0.5) / scale - 0.5 : 0;
    case "tf_half_pixel_for_nn":
      return (k + 0.5) / scale;
    case "half_pixel_symmetric":
      return (from / 2) * (1 - to / (scale * from)) + (k + 0.5) / scale - 0.5;
    case "half_pixel":
      return (k + 0.5) / scale - 0.5;
    default:
      throw new PareError(`Resize: coordinate_transformation_mode "${coordinates}" is not known`);
  }
}
const nearestOf: Readonly<Record<string, (x: number, scale: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: (x) => Math.floor(x),
  ceil: (x) => Math.ceil(x),
  simple: (x, scale) => (scale < 1 ? Math.ceil(x) : Math.trunc(x)),
};

/** The inputs that one output reads and their weights. */
function taps(f: Filter, x: number, from: number, scale: number): (readonly [number, number])[] {
  const clamp = (i: number) => Math.max(0, Math.min(from - 1, i));
  if (f.mode === "nearest") {
    const pick = nearestOf[f.nearest];
    if (!pick) throw new PareError(`Resize: nearest_mode "${f.nearest}" is not known`);
    return [[clamp(pick(x, scale)), 1]];
  }
  if (f.mode === "linear") {
    const inside = Math.max(0, Math.min(from - 1, x));
    const low = Math.floor(inside);
    return [
      [low, 1 - (inside - low)],
      [clamp(low + 1), inside - low],
    ];
  }
  if (f.mode !== "cubic") throw new PareError(`Resize: mode "${f.mode}" is not known`);
  const low = Math.floor(x);
  const t = x - low;
  const a = f.cubic;
  const near = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  const four = [far(t + 1), near(t), near(1 - t), far(2 - t)].map((w, k) => [low - 1 + k, w] as const);
  if (!f.excludeOutside) return four.map(([i, w]) => [clamp(i), w]);
  const inside = four.filter(([i]) => i >= 0 && i < from);
  const total = inside.reduce((sum, [, w]) => sum + w, 0);
  return inside.map(([i, w]) => [i, w / total]);
}

/** Row-major [to, from]. */
export function resampling(f: Filter, from: number, to: number, scale: number): Float64Array {
  const m = new Float64Array(from * to);
  for (let k = 0; k < to; k++)
    for (const [i, w] of taps(f, source(f.coordinates, k, from, to, scale), from, scale)) m[k * from + i]! += w;
  return m;
}
