/** dL/dx of a convolution: a ConvInputGrad node comes in, its blocked form is defined; false where the node is better left plain. */
import type { Node } from "../../graph/graph.js";
import { convForm, convolve } from "./conv.js";
import type { Image, Layout, Maker } from "./layout.js";
import { depthwiseTaps, swapped } from "./weights.js";
import { intsOf, type Window, windowOf } from "./window.js";

/** Along one axis: which taps reach the inputs s*a + phase, and how dy is padded for them to fall on a = 0..count-1. */
interface AxisPhase {
  /** In the order of the gradient's kernel. */
  readonly taps: readonly number[];
  readonly before: number;
  readonly after: number;
}
/** dx[s*a+phase] = sum over m of w[t0+s*m] dy[a+e-m], t0 = (phase+pad) mod s, e = (phase+pad-t0)/s. */
function axisPhase(phase: number, k: number, s: number, pad: number, outputs: number, count: number): AxisPhase {
  const first = (phase + pad) % s;
  const number = Math.max(0, Math.ceil((k - first) / s));
  const before = number - 1 - (phase + pad - first) / s;
  const taps = Array.from({ length: number }, (_, i) => first + s * (number - 1 - i));
  return { taps, before, after: count + number - 1 - outputs - before };
}

/** What adding up one product's overlaps costs in a plain ConvTranspose, in multiplications of a blocked convolution. */
const overlap = 40;

/** Whether a plain ConvTranspose, which multiplies what is there, beats blocks: they multiply padding too, of channels and of each row up to dx's width. */
function plainIsShorter(l: Layout, [, o, , wo]: Image, [, c, , w]: Image): boolean {
  return o + overlap < (l.pad(o) * l.pad(c) * w) / (c * wo);
}

export function convInputGrad(l: Layout, node: Node): boolean {
  const [dy, w] = node.inputs as [string, string];
  const dx = node.outputs[0]!;
  const [ds, ws, xs] = [l.image(dy), l.image(w), l.image(dx)];
  const window = ws && windowOf(node, ws.slice(2));
  if (!window || !ds || !xs || (intsOf(node, "input_shape") ?? xs).some((d, i) => d !== xs[i])) return false;
  const form = convForm(l, dx, w, window);
  if (form === null || form === "grouped") return false;
  const depthwise = form === "depthwise";
  const { kernel, strides, dilations, pads } = window;
  const filter = (ty: readonly number[], tx: readonly number[]): string => {
    const list = ty.flatMap((i) => tx.map((j) => i * kernel[1] + j));
    return depthwise ? depthwiseTaps(l, w, list, ty.length, tx.length) : swapped(l, w, list, ty.length, tx.length);
  };
  const group = depthwise ? l.pad(xs[1]) : 1;
  const part = (y: AxisPhase, x: AxisPhase): Maker | null => {
    // Nothing of dy reaches such a phase.
    const left = (a: AxisPhase, size: number) => size + Math.min(a.before, 0) + Math.min(a.after, 0);
    if (!y.taps.length || !x.taps.length || left(y, ds[2]) <= 0 || left(x, ds[3]) <= 0) return null;
    return (fusion) => {
      const around = [y.before, x.before, y.after, x.after];
      const cut = around.map((p) => Math.min(p, 0));
      const image: Image = [ds[0], l.pad(ds[1]), ds[2], ds[3]];
      const source = l.padImage(l.blocked(dy), image, cut);
      const cutImage: Image = [ds[0], ds[1], ds[2] + cut[0]! + cut[2]!, ds[3] + cut[1]! + cut[3]!];
      const kernelShape = [y.taps.length, x.taps.length] as const;
      const around0 = around.map((p) => Math.max(p, 0)) as unknown as Window["pads"];
      const form: Window = { kernel: kernelShape, strides: [1, 1], dilations, pads: around0, group };
      return convolve(l, source, cutImage, filter(y.taps, x.taps), "", form, fusion);
    };
  };
  if (strides[0] === 1 && strides[1] === 1) {
    if (!depthwise && plainIsShorter(l, ds, xs)) return false;
    const axis = (i: 0 | 1): AxisPhase => {
      const [k, d] = [kernel[i], dilations[i]];
      const before = (k - 1) * d - pads[i];
      const after = xs[2 + i]! + (k - 1) * d - ds[2 + i]! - before;
      return { taps: Array.from({ length: k }, (_, t) => k - 1 - t), before, after };
    };
    const whole = part(axis(0), axis(1));
    if (whole) l.define(dx, whole, "sum");
    return whole !== null;
  }
  if (dilations[0] !== 1 || dilations[1] !== 1) return false;
  const [rows, columns] = [Math.ceil(xs[2] / strides[0]), Math.ceil(xs[3] / strides[1])];
  const phases = (i: 0 | 1, count: number) =>
    Array.from({ length: strides[i] }, (_, r) => axisPhase(r, kernel[i], strides[i], pads[i], ds[2 + i]!, count));
  const across = phases(1, columns);
  const parts = phases(0, rows).map((y) => across.map((x) => part(y, x)));
  l.setPhases(dx, { stride: strides, rows, columns, parts });
  return true;
}
