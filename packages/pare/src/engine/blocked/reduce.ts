/** Sums over an image that is in blocks already: the bias gradient. */
import type { Node } from "../../graph/graph.js";
import type { Image, Layout } from "./layout.js";
import { numberOf } from "./window.js";

/** Per-channel sums of a blocked [n,C,h,w], as [C]. */
export function channelSums(l: Layout, t: string, [n, c, h, w]: Image): string {
  return l.once(`sums ${t}`, () => {
    const { g } = l;
    const means = g.reshape(l.nchwc("GlobalAveragePool", [t]), [n, l.pad(c)]);
    return g.op("Mul", [g.reduceSum(means, [0]), g.scalar(h * w)]);
  });
}

/** The first c of [C], under the name that the source graph gives them. */
export function cutChannels(l: Layout, vector: string, c: number, name: string, dims: readonly number[]): void {
  const { g } = l;
  const cut = l.pad(c) === c ? vector : g.op("Slice", [vector, g.ints([0]), g.ints([c])]);
  l.setPlain(name, g.reshape(cut, dims));
}

/** ReduceSum over batch and image axes. */
export function reduceSum(l: Layout, node: Node): boolean {
  const [x, axes] = node.inputs as [string, string?];
  const y = node.outputs[0]!;
  const xs = l.image(x);
  const list = axes
    ? l
        .constantInts(axes)
        ?.map((a) => (a < 0 ? a + 4 : a))
        .sort()
    : null;
  if (!xs || !l.isBlocked(x) || list?.join() !== "0,2,3") return false;
  const dims = numberOf(node, "keepdims", 1) ? [1, xs[1], 1, 1] : [xs[1]];
  cutChannels(l, channelSums(l, l.blocked(x), xs), xs[1], y, dims);
  return true;
}
