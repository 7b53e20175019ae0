/** ReLU's and max-pooling's gradients in plain ONNX. */
import type { Emitter } from "../../graph/emit.js";
import { floats, sizeOf } from "../../graph/tensor.js";
import type { CompositeSite } from "../lower.js";

/** dy where y > 0. HardSigmoid with a huge slope is 0 or 1 in one pass; Where takes two to three, Sign many. */
export function reluGrad(g: Emitter, s: CompositeSite): string[] {
  const [dy, y] = s.inputs as [string, string];
  const gate =
    s.type === "float32"
      ? g.op("HardSigmoid", [y], { alpha: { float: 1e30 }, beta: { float: 0 } })
      : g.cast(g.op("Greater", [y, g.scalar(0)]), s.type);
  return [g.op("Mul", [dy, gate])];
}

/** Windows side by side: tied maxima share dy equally. Else the first maximum of each window takes all of it. */
export function maxPoolGrad(g: Emitter, s: CompositeSite): string[] {
  const kernel = s.ints("kernel_shape");
  const tiled =
    kernel.every((k, d) => k === s.ints("strides")[d] && s.ints("dilations")[d] === 1) &&
    s.ints("pads").every((p) => p === 0) &&
    s.int("ceil_mode") === 0;
  return [tiled ? shared(g, s, kernel) : first(g, s)];
}

function shared(g: Emitter, s: CompositeSite, kernel: readonly number[]): string {
  const [dy, x, y] = s.inputs as [string, string, string];
  const from = s.dims(1);
  const covered = s.dims(0).map((t, d) => (d < 2 ? t : t * kernel[d - 2]!));
  const rest = from.map((n, d) => n - covered[d]!);
  const axes = rest.flatMap((r, d) => (r > 0 ? [d] : []));
  const used = axes.length
    ? g.op("Slice", [x, g.ints(axes.map(() => 0)), g.ints(axes.map((d) => covered[d]!)), g.ints(axes)])
    : x;
  const hits = g.cast(g.op("Equal", [used, spread(g, y, kernel)]), s.type);
  const size = sizeOf(kernel);
  const share = g.op("AveragePool", [hits], { kernel_shape: kernel, strides: kernel });
  const each = g.op("Div", [dy, g.op("Mul", [share, g.scalar(size)])]);
  const dx = g.op("Mul", [hits, spread(g, each, kernel)]);
  if (!axes.length) return dx;
  return g.op("Pad", [dx, g.ints([...from.map(() => 0), ...rest])]);
}

/** A window's value at each of its elements: nearest-neighbour enlargement, many times faster than a transposition in five axes. */
const spread = (g: Emitter, v: string, kernel: readonly number[]): string => {
  const scales = g.constant(floats([1, 1, ...kernel], [kernel.length + 2]));
  return g.op("Resize", [v, "", scales], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
};

function first(g: Emitter, s: CompositeSite): string {
  const [dy, x] = s.inputs as [string, string];
  const attributes = Object.fromEntries(["kernel_shape", "strides", "pads", "dilations"].map((a) => [a, s.ints(a)]));
  const [, indices] = g.ops("MaxPool", [x], { ...attributes, ceil_mode: s.int("ceil_mode") }, 2);
  const size = sizeOf(s.dims(1));
  const zeros = g.op("Expand", [g.full(0, [1]), g.ints([size])]);
  const flat = g.op("ScatterElements", [zeros, g.reshape(indices!, [-1]), g.reshape(dy, [-1])], {
    axis: 0,
    reduction: "add",
  });
  return g.reshape(flat, s.dims(1));
}
