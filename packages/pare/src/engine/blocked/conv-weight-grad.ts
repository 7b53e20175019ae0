/**
 * dL/dw of a convolution: a ConvWeightGrad node comes in, its blocked form is emitted; false where the node is better left plain.
 *
 * The gradient is itself a blocked convolution: the batch is the contracted axis, dy is the kernel, the result has kh x kw points.
 * The kernel is dilated so that a block's channels lie side by side in the width: a result row then has kw*B points, not kw.
 */
import type { Node } from "../../graph/graph.js";
import { convForm } from "./conv.js";
import type { Image, Layout } from "./layout.js";
import { intsOf, type Window, windowOf } from "./window.js";

/** Zeros to put around x so that the dilated dy has exactly kh x kw places: what the convolution padded, less the rows its stride never reached. */
function surround({ kernel, strides, pads }: Window, x: Image, dy: Image): [number, number, number, number] {
  const after = (i: 0 | 1) => kernel[i] - 1 + strides[i] * (dy[2 + i]! - 1) + 1 - x[2 + i]! - pads[i];
  return [pads[0], pads[1], after(0), after(1)];
}

export function convWeightGrad(l: Layout, node: Node): boolean {
  const [x, dy] = node.inputs as [string, string];
  const dw = node.outputs[0]!;
  const [xs, ds, ws] = [l.image(x), l.image(dy), l.image(dw)];
  const window = ws && windowOf(node, ws.slice(2));
  if (!window || !xs || !ds || (intsOf(node, "weight_shape") ?? ws).some((d, i) => d !== ws[i])) return false;
  const { dilations } = window;
  if (dilations[0] !== 1 || dilations[1] !== 1) return false;
  const form = convForm(l, x, dw, window);
  if (form === null || form === "grouped") return false;
  const made = form === "depthwise" ? depthwise(l, x, dy, window, xs, ds) : dense(l, x, dy, form, window, xs, ds);
  l.setPlain(dw, made);
  return true;
}

/** dL/dw [o,c,kh,kw], plain. */
function dense(
  l: Layout,
  x: string,
  dy: string,
  form: "image" | "dense",
  window: Window,
  xs: Image,
  ds: Image,
): string {
  const { g, block: B } = l;
  const [, c, h, w] = xs;
  const [, o, ho, wo] = ds;
  const { kernel, strides } = window;
  const [kh, kw] = kernel;
  const [top, left, bottom, right] = surround(window, xs, ds);
  const [crop, height] = [Math.min(bottom, 0), h + Math.min(bottom, 0)];
  const width = w + left + right;
  const [O, N] = [l.pad(o), l.pad(xs[0])];
  const n = N / B;
  const whole = (t: string, image: Image) => padBatch(l, t, image, N);

  let image: string;
  let side: number;
  if (form === "image") {
    side = c;
    image = l.once(`weight-gradient image ${x} ${[left, right, crop]}`, () => {
      let t = whole(l.plain(x), xs);
      if (left || right || crop) t = g.op("Pad", [t, g.ints([0, 0, 0, left, 0, 0, crop, right])]);
      if (c > 1) t = g.transpose(t, [0, 2, 3, 1]);
      t = l.nchwc("ReorderInput", [g.reshape(t, [n, B, height * width * c, 1])]);
      return g.reshape(t, [1, N, height, width * c]);
    });
  } else {
    side = B;
    const C = l.pad(c);
    image = l.once(`weight-gradient image ${x} ${[left, right, crop]}`, () => {
      const padded = l.padImage(l.blocked(x), [xs[0], C, h, w], [0, left, crop, right]);
      const t = whole(padded, [xs[0], C, height, width]);
      let rows = l.nchwc("ReorderInput", [g.reshape(t, [n, B, C * height * width, 1])]);
      if (n > 1 && C > B) rows = g.transpose(g.reshape(rows, [n, C / B, height * width * B * B]), [1, 0, 2]);
      return g.reshape(rows, [C / B, N, height, width * B]);
    });
  }
  const filter = l.once(`weight-gradient kernel ${dy}`, () => {
    // [N/B, Bn, O/B, p, Bo] -> [O/B, N/B, p, Bn, Bo]: ReorderInput brings Bn to the end, a second one puts Bo behind it.
    const t = whole(l.blocked(dy), [ds[0], O, ho, wo]);
    const batchLast = l.nchwc("ReorderInput", [g.reshape(t, [n, B, O * ho * wo, 1])]);
    let k = l.nchwc("ReorderInput", [g.reshape(batchLast, [(n * O * ho * wo) / B, B, B, 1])]);
    if (n > 1 && O > B) k = g.transpose(g.reshape(k, [n, O / B, ho * wo * B * B]), [1, 0, 2]);
    return g.reshape(k, [O, N, ho, wo]);
  });
  const product = l.nchwc("Conv", [image, filter], {
    kernel_shape: [ho, wo],
    dilations: [strides[0], strides[1] * side],
    pads: [top, 0, Math.max(bottom, 0), 0],
  });
  // [C/B or 1, O/B, kh, kw, B or c, B] -> [o,c,kh,kw]
  const blocks = form === "image" ? 1 : l.pad(c) / B;
  const k = kh * kw;
  let t = g.reshape(product, [blocks, O / B, k * side * B]);
  if (blocks > 1 && O > B) t = g.transpose(t, [1, 0, 2]);
  t = l.nchwc("ReorderOutput", [g.reshape(t, [1, O, blocks * k * side, 1])], { channels: o });
  if (k > 1 && side > 1) t = g.transpose(g.reshape(t, [o, blocks, k, side]), [0, 1, 3, 2]);
  t = g.reshape(t, [o, blocks * side, kh, kw]);
  if (blocks * side !== c) t = g.op("Slice", [t, g.ints([0]), g.ints([c]), g.ints([1])]);
  return t;
}

/** dL/dw [c,1,kh,kw], plain: every image of the batch is a group, and the batch is summed afterwards. */
function depthwise(l: Layout, x: string, dy: string, window: Window, xs: Image, ds: Image): string {
  const { g } = l;
  const [n, c, h, w] = xs;
  const [, , ho, wo] = ds;
  const [kh, kw] = window.kernel;
  const C = l.pad(c);
  const [top, left, bottom, right] = surround(window, xs, ds);
  const crop = Math.min(bottom, 0);
  const padded = l.padImage(l.blocked(x), [n, C, h, w], [0, left, crop, right]);
  const product = l.nchwc(
    "Conv",
    [g.reshape(padded, [1, n * C, h + crop, w + left + right]), g.reshape(l.blocked(dy), [n * C, 1, ho, wo])],
    { kernel_shape: [ho, wo], dilations: window.strides, pads: [top, 0, Math.max(bottom, 0), 0], group: n * C },
  );
  const sum = g.reduceSum(g.reshape(product, [n, C * kh * kw]), [0]);
  const t = l.nchwc("ReorderOutput", [g.reshape(sum, [1, C, kh * kw, 1])], { channels: c });
  return g.reshape(t, [c, 1, kh, kw]);
}

function padBatch(l: Layout, t: string, [n, ...rest]: Image, N: number): string {
  if (n === N) return t;
  const { g } = l;
  const size = rest.reduce((p, d) => p * d, 1);
  return g.reshape(g.op("Pad", [g.reshape(t, [n, size]), g.ints([0, 0, N - n, 0])]), [N, ...rest]);
}
