/** Convolution's gradients in plain ONNX: any stride, dilation, padding and group, any number of spatial axes. */
import type { Emitter } from "../../graph/emit.js";
import type { CompositeSite } from "../lower.js";

interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
  readonly group: number;
}
const windowOf = (s: CompositeSite): Window => ({
  kernel: s.ints("kernel_shape"),
  strides: s.ints("strides"),
  pads: s.ints("pads"),
  dilations: s.ints("dilations"),
  group: s.int("group"),
});

/** dx of `input_shape` from dy [n (g o) t...] and w [(g o) c k...]: a transposed convolution. */
export function convInputGrad(g: Emitter, s: CompositeSite): string[] {
  const [dy, w] = s.inputs as [string, string];
  const { kernel, strides, pads, dilations, group } = windowOf(s);
  const spatial = kernel.length;
  const t = s.dims(0).slice(2);
  const wanted = s.ints("input_shape").slice(2);
  // The transposed convolution reaches `full`; dx is the part behind the leading pads, and zeros where no window reached.
  const full = t.map((n, d) => (n - 1) * strides[d]! + (kernel[d]! - 1) * dilations[d]! + 1);
  const taken = full.map((n, d) => Math.min(n - pads[d]!, wanted[d]!));
  if (taken.some((n) => n <= 0)) return [g.op("Expand", [g.scalar(0), g.ints(s.ints("input_shape"))])];
  const dx = g.op("ConvTranspose", [dy, w], {
    kernel_shape: kernel,
    strides,
    dilations,
    group,
    pads: [...pads.slice(0, spatial), ...full.map((n, d) => n - pads[d]! - taken[d]!)],
  });
  const lack = wanted.map((n, d) => n - taken[d]!);
  if (lack.every((l) => l === 0)) return [dx];
  return [g.op("Pad", [dx, g.ints([0, 0, ...wanted.map(() => 0), 0, 0, ...lack])])];
}

/**
 * dw of `weight_shape` from x [n (g c) s...] and dy [n (g o) t...]: a convolution of x by dy in which batch and channels change places,
 * strides and dilations too.
 */
export function convWeightGrad(g: Emitter, s: CompositeSite): string[] {
  const [x, dy] = s.inputs as [string, string];
  const { kernel, strides, pads, dilations, group } = windowOf(s);
  const spatial = kernel.length;
  const [n, channels, ...from] = s.dims(0);
  const to = s.dims(1).slice(2);
  const c = channels! / group;
  const axes = from.map((_, d) => d);
  const images =
    group === 1
      ? g.transpose(x, [1, 0, ...axes.map((d) => d + 2)])
      : g.reshape(g.transpose(g.reshape(x, [n!, group, c, ...from]), [2, 1, 0, ...axes.map((d) => d + 3)]), [
          c,
          group * n!,
          ...from,
        ]);
  const kernels = g.transpose(dy, [1, 0, ...axes.map((d) => d + 2)]);
  // Pad so that the last window starts at the kernel's last tap exactly; what was never read is left out.
  const reach = kernel.map((k, d) => (k - 1) * dilations[d]! + (to[d]! - 1) * strides[d]! + 1);
  const ends = reach.map((r, d) => r - from[d]! - pads[d]!);
  if (ends.some((e, d) => from[d]! + e <= 0)) return [g.op("Expand", [g.scalar(0), g.ints(s.ints("weight_shape"))])];
  const result = g.op("Conv", [crop(g, images, from, ends), kernels], {
    kernel_shape: to,
    strides: dilations,
    dilations: strides,
    pads: [...pads.slice(0, spatial), ...ends.map((e) => Math.max(0, e))],
    group,
  });
  return [g.transpose(result, [1, 0, ...axes.map((d) => d + 2)])];
}

/** Leaves out what a negative end pad means. */
function crop(g: Emitter, x: string, from: readonly number[], ends: readonly number[]): string {
  const axes = ends.flatMap((e, d) => (e < 0 ? [d] : []));
  if (!axes.length) return x;
  const stops = axes.map((d) => from[d]! + ends[d]!);
  return g.op("Slice", [x, g.ints(axes.map(() => 0)), g.ints(stops), g.ints(axes.map((d) => d + 2))]);
}
