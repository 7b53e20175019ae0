/** Convolution forward: a Conv node comes in, its blocked form is defined; false where the node is better left plain. */
import type { Node } from "../../graph/graph.js";
import type { Fusion, Image, Layout } from "./layout.js";
import { bothBlocked, channels, depthwiseTaps, outerBlocked } from "./weights.js";
import { type Window, windowOf } from "./window.js";

/** How a convolution can be done in blocks. "image": few input channels, read from the plain layout. */
export type ConvForm = "image" | "dense" | "depthwise" | "grouped";

/** The form of x [n,c,h,w] * w [o,c/g,kh,kw]; null where there is none. */
export function convForm(l: Layout, x: string, w: string, { group }: Window): ConvForm | null {
  const [xs, ws] = [l.image(x), l.image(w)];
  if (!xs || !ws) return null;
  const [c, o, B] = [xs[1], ws[0], l.block];
  if (group === 1) return c < B && l.isPlain(x) ? "image" : "dense";
  if (group === c && o === c) return "depthwise";
  return (c / group) % B === 0 && (o / group) % B === 0 ? "grouped" : null;
}

const taps = (count: number) => Array.from({ length: count }, (_, i) => i);

export function conv(l: Layout, node: Node): boolean {
  const [x, w, b] = node.inputs as [string, string, string | undefined];
  const y = node.outputs[0]!;
  const [ws, out] = [l.image(w), l.image(y)];
  const window = ws && windowOf(node, ws.slice(2));
  const form = window && convForm(l, x, w, window);
  if (!form || !out) return false;
  const [o, , kh, kw] = ws;
  l.define(
    y,
    (fusion) => {
      const filter =
        form === "image"
          ? outerBlocked(l, w)
          : form === "depthwise"
            ? depthwiseTaps(l, w, taps(kh * kw), kh, kw)
            : bothBlocked(l, w);
      const bias = b ? channels(l, b, o) : "";
      const group = form === "depthwise" ? l.pad(o) : window.group;
      if (form === "image") return convolve(l, l.plain(x), null, filter, bias, { ...window, group }, fusion);
      return convolve(l, l.blocked(x), l.image(x)!, filter, bias, { ...window, group }, fusion);
    },
    "sum",
  );
  return true;
}

/** One blocked Conv. A width padding of 2 or more is written out: the kernel does padded columns one point at a time. */
export function convolve(
  l: Layout,
  x: string,
  image: Image | null,
  filter: string,
  bias: string,
  { kernel, strides, dilations, pads, group }: Window,
  fusion: Fusion = {},
): string {
  const [top, left, bottom, right] = pads;
  const wide = image !== null && Math.max(left, right) > 1;
  const [n, c, h, w] = image ?? [0, 0, 0, 0];
  const source = wide ? l.padImage(x, [n, l.pad(c), h, w], [0, left, 0, right]) : x;
  const inputs = [source, filter, bias, fusion.sum ?? ""];
  while (inputs.at(-1) === "") inputs.pop();
  return l.nchwc("Conv", inputs, {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: wide ? [top, 0, bottom, 0] : pads,
    group,
    ...(fusion.relu ? { activation: "Relu" } : {}),
  });
}
