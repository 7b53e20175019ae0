/** ReLU's and max-pooling's gradients in plain ONNX. */
import type { Emitter } from "../../graph/emit.js";
import { sizeOf } from "../../graph/tensor.js";
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
  const [from, to] = [s.dims(1), s.dims(0)];
  const outer = from[0]! * from[1]!;
  const windows = to.slice(2);
  const covered = windows.map((t, d) => t * kernel[d]!);
  const rest = covered.map((c, d) => from[d + 2]! - c);
  const axes = rest.flatMap((r, d) => (r > 0 ? [d + 2] : []));
  const used = axes.length
    ? g.op("Slice", [x, g.ints(axes.map(() => 0)), g.ints(axes.map((d) => covered[d - 2]!)), g.ints(axes)])
    : x;
  // [n c, t0 k0 t1 k1 ...] -> [n c, k0 k1 ..., t0 t1 ...]: the window's elements in front, so that y is spread over a leading axis.
  const split = [outer, ...windows.flatMap((t, d) => [t, kernel[d]!])];
  const [t, k] = [windows.map((_, d) => 2 * d + 1), windows.map((_, d) => 2 * d + 2)];
  const gathered = [0, ...k, ...t];
  const back = gathered.map((_, i) => gathered.indexOf(i));
  const rows = [outer, sizeOf(kernel), sizeOf(windows)];
  const one = [outer, 1, sizeOf(windows)];
  const elements = g.reshape(g.transpose(g.reshape(used, split), gathered), rows);
  const hits = g.cast(g.op("Equal", [elements, g.reshape(y, one)]), s.type);
  const share = g.op("Div", [g.reshape(dy, one), g.reduceSum(hits, [1], true)]);
  const spread = g.reshape(g.op("Mul", [hits, share]), [outer, ...kernel, ...windows]);
  const dx = g.reshape(g.transpose(spread, back), [...from.slice(0, 2), ...covered]);
  if (!axes.length) return dx;
  return g.op("Pad", [dx, g.ints([...from.map(() => 0), 0, 0, ...rest])]);
}

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
