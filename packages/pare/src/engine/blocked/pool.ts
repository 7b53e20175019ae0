/** Pooling and its gradient in blocks: a node comes in, its blocked form is defined; false where the node stays plain. */
import type { Node } from "../../graph/graph.js";
import type { Layout } from "./layout.js";
import { numberOf, type Window, windowOf } from "./window.js";

/** MaxPool and AveragePool of an image that is in blocks already. */
export function pool(l: Layout, node: Node): boolean {
  const [x] = node.inputs as [string];
  const [y, indices] = node.outputs as [string, string?];
  const window = windowOf(node);
  if (!window || indices || !l.image(x) || !l.isBlocked(x) || numberOf(node, "ceil_mode", 0)) return false;
  l.define(y, () => pooled(l, node.op, l.blocked(x), window, numberOf(node, "count_include_pad", 0)));
  return true;
}

function pooled(
  l: Layout,
  op: string,
  x: string,
  { kernel, strides, dilations, pads }: Window,
  includePad = 0,
): string {
  const attributes = { kernel_shape: kernel, strides, dilations, pads };
  return l.nchwc(op, [x], op === "AveragePool" ? { ...attributes, count_include_pad: includePad } : attributes);
}

export function globalAveragePool(l: Layout, node: Node): boolean {
  const [x] = node.inputs as [string];
  if (!l.image(x) || !l.isBlocked(x)) return false;
  l.define(node.outputs[0]!, () => l.nchwc("GlobalAveragePool", [l.blocked(x)]));
  return true;
}

/** Expand from [n,c,1,1] to [n,c,h,w], the gradient of a global average. */
export function expand(l: Layout, node: Node): boolean {
  const [x] = node.inputs as [string];
  const y = node.outputs[0]!;
  const [xs, ys] = [l.image(x), l.image(y)];
  if (!xs || !ys || xs[0] !== ys[0] || xs[1] !== ys[1] || xs[2] * xs[3] !== 1 || xs[1] < l.block) return false;
  l.define(y, () => {
    const { g, block: B } = l;
    const [n, c, h, w] = ys;
    const blocks = (n * l.pad(c)) / B;
    const wide = g.op("Expand", [g.reshape(l.blocked(x), [blocks, 1, B]), g.ints([blocks, h * w, B])]);
    return g.reshape(wide, [n, l.pad(c), h, w]);
  });
  return true;
}

/** MaxPoolGrad(dy, x, y) over windows that tile the image: a window's gradient is shared among its maxima. */
export function maxPoolGrad(l: Layout, node: Node): boolean {
  const [dy, x, y] = node.inputs as [string, string, string];
  const dx = node.outputs[0]!;
  const [window, xs, ys] = [windowOf(node), l.image(x), l.image(y)];
  if (!window || !xs || !ys || !(l.isBlocked(x) || l.isBlocked(dy))) return false;
  const { kernel, strides, dilations, pads } = window;
  const [kh, kw] = kernel;
  const tiles =
    strides[0] === kh &&
    strides[1] === kw &&
    xs[2] === ys[2] * kh &&
    xs[3] === ys[3] * kw &&
    pads.every((p) => p === 0);
  if (!tiles || dilations[0] !== 1 || dilations[1] !== 1 || kh * kw === 1) return false;
  l.define(dx, () => {
    const { g, block: B } = l;
    const [n, c, h, w] = xs;
    const rows = ((n * l.pad(c)) / B) * ys[2];
    // Widened in blocks; the kh rows of a window are a broadcast axis of their own.
    const wide = (t: string) =>
      g.reshape(l.nchwc("Upsample", [t], { scales: [1, 1, 1, kw], mode: "nearest" }), [rows, 1, w * B]);
    const below = g.op("Sub", [g.reshape(l.blocked(x), [rows, kh, w * B]), wide(l.blocked(y))]);
    const isMaximum = g.op("HardSigmoid", [below], { alpha: { float: 3e38 }, beta: { float: 1 } });
    const share = pooled(l, "AveragePool", g.reshape(isMaximum, [n, l.pad(c), h, w]), window);
    const part = g.op("Div", [g.op("Mul", [l.blocked(dy), g.scalar(1 / (kh * kw))]), share]);
    return g.reshape(g.op("Mul", [isMaximum, wide(part)]), [n, l.pad(c), h, w]);
  });
  return true;
}
