/** Slices, paddings and gathers of rows, columns and whole blocks of channels stay in blocks; false where a node stays plain. */
import type { Node } from "../../graph/graph.js";
import { float32sOf } from "../../graph/tensor.js";
import type { Image, Layout } from "./layout.js";
import { numberOf } from "./window.js";

/** A blocked tensor in its true axes: [n, C/B, h, w, B]. */
const axes = (l: Layout, [n, c, h, w]: Image): number[] => [n, l.pad(c) / l.block, h, w, l.block];
const normal = (axis: number): number => (axis < 0 ? axis + 4 : axis);

/** Slice along height and width. */
export function slice(l: Layout, node: Node): boolean {
  const [x, ...parts] = node.inputs as [string, ...string[]];
  const y = node.outputs[0]!;
  const [xs, ys] = [l.image(x), l.image(y)];
  const [starts, ends, over, steps] = parts.map((name) => l.constantInts(name));
  if (!xs || !ys || !l.isBlocked(x) || !starts || !ends || (parts[2] && !over) || (parts[3] && !steps)) return false;
  const sliced = (over ?? starts.map((_, i) => i)).map(normal);
  if (!sliced.every((a) => a === 2 || a === 3)) return false;
  l.define(y, () => {
    const { g } = l;
    const inputs = [g.reshape(l.blocked(x), axes(l, xs)), g.ints(starts), g.ints(ends), g.ints(sliced)];
    const cut = g.op("Slice", steps ? [...inputs, g.ints(steps)] : inputs);
    return g.reshape(cut, [ys[0], l.pad(ys[1]), ys[2], ys[3]]);
  });
  return true;
}

/** Pad with zeros, or by negative counts; channels by whole blocks. */
export function pad(l: Layout, node: Node): boolean {
  const [x, counts, value, over] = node.inputs as [string, string, string?, string?];
  const y = node.outputs[0]!;
  const [xs, ys, B] = [l.image(x), l.image(y), l.block];
  const mode = node.attributes.mode;
  if (!xs || !ys || !l.isBlocked(x) || (mode?.kind === "string" && mode.value !== "constant")) return false;
  const zero = value ? l.source.initializers.get(value) : null;
  if (value && !(zero?.type === "float32" && float32sOf(zero)[0] === 0)) return false;
  const [pads, named] = [l.constantInts(counts), over ? l.constantInts(over)?.map(normal) : [0, 1, 2, 3]];
  if (!pads || !named) return false;
  const count = (axis: number, end: boolean): number => {
    const i = named.indexOf(axis);
    return i < 0 ? 0 : pads[end ? i + named.length : i]!;
  };
  const before = count(1, false);
  const moved = before !== 0 || count(1, true) !== 0;
  // A rest of a block would have to move within its block.
  if (count(0, false) || count(0, true) || (moved && (xs[1] % B !== 0 || before % B !== 0))) return false;
  const after = (l.pad(ys[1]) - xs[1] - before) / B;
  if (moved && ys[1] % B !== 0 && ys[1] < xs[1] + before) return false;
  l.define(y, () => {
    const { g } = l;
    const [top, left, bottom, right] = [count(2, false), count(3, false), count(2, true), count(3, true)];
    const blocks = moved ? [before / B, after] : [0, 0];
    const all = [0, blocks[0]!, top, left, 0, 0, blocks[1]!, bottom, right, 0];
    const padded = g.op("Pad", [g.reshape(l.blocked(x), axes(l, xs)), g.ints(all)]);
    return g.reshape(padded, [ys[0], l.pad(ys[1]), ys[2], ys[3]]);
  });
  return true;
}

/** Gather of rows or columns by constant indices. */
export function gather(l: Layout, node: Node): boolean {
  const [x, indices] = node.inputs as [string, string];
  const y = node.outputs[0]!;
  const [xs, ys] = [l.image(x), l.image(y)];
  const axis = normal(numberOf(node, "axis", 0));
  if (!xs || !ys || !l.isBlocked(x) || axis < 2 || !l.constantInts(indices)) return false;
  l.define(y, () => {
    const taken = l.g.op("Gather", [l.g.reshape(l.blocked(x), axes(l, xs)), indices], { axis });
    return l.g.reshape(taken, [ys[0], l.pad(ys[1]), ys[2], ys[3]]);
  });
  return true;
}
