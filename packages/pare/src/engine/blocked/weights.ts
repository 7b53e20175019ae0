/** Reorders convolution weights and per-channel vectors into the blocks that the blocked kernels read; names in, names out. */
import type { Layout } from "./layout.js";

/** A per-channel vector [c] with zeros up to whole blocks. */
export function channels(l: Layout, vector: string, c: number): string {
  const C = l.pad(c);
  if (C === c) return l.plain(vector);
  return l.once(`channels ${vector}`, () => l.g.op("Pad", [l.plain(vector), l.g.ints([0, C - c])]));
}

/** [o, ...] as [O/B, rest, B], outer axis padded: the layout for a plain image with few channels, and for depthwise weights. */
export function outerBlocked(l: Layout, w: string): string {
  return l.once(`outer ${w}`, () => {
    const { g } = l;
    const [o, c, kh, kw] = l.image(w)!;
    const O = l.pad(o);
    const rest = c * kh * kw;
    const flat = g.reshape(l.plain(w), [1, o, rest, 1]);
    const padded = O === o ? flat : g.op("Pad", [flat, g.ints([0, 0, 0, 0, 0, O - o, 0, 0])]);
    return g.reshape(l.nchwc("ReorderInput", [padded]), [O, c, kh, kw]);
  });
}

/** [o,c,kh,kw] as [O/B,C/B,kh,kw,Bc,Bo], declared [O,C,kh,kw]. */
export function bothBlocked(l: Layout, w: string): string {
  return l.once(`both ${w}`, () => {
    const { g, block: B } = l;
    const [o, c, kh, kw] = l.image(w)!;
    const [O, C, k] = [l.pad(o), l.pad(c), kh * kw];
    const plain = l.plain(w);
    const padded = O === o && C === c ? plain : g.op("Pad", [plain, g.ints([0, 0, 0, 0, O - o, C - c, 0, 0])]);
    const outer = l.nchwc("ReorderInput", [g.reshape(padded, [1, O, C * k, 1])]);
    if (k === 1) return g.reshape(outer, [O, C, 1, 1]);
    return g.reshape(g.transpose(g.reshape(outer, [O / B, C / B, B, k, B]), [0, 1, 3, 2, 4]), [O, C, kh, kw]);
  });
}

/** The weights of the input gradient, [C/B,O/B,taps,Bo,Bc]: axes swapped, and only the taps listed (row-major in the kernel), in that order. */
export function swapped(l: Layout, w: string, taps: readonly number[], th: number, tw: number): string {
  return l.once(`swapped ${w} ${taps}`, () => {
    const { g, block: B } = l;
    const [o, c, kh, kw] = l.image(w)!;
    const [O, C, k] = [l.pad(o), l.pad(c), kh * kw];
    const blocks = g.reshape(bothBlocked(l, w), [((O / B) * C * k) / B, B, B, 1]);
    let t = g.reshape(l.nchwc("ReorderInput", [blocks]), [O / B, C / B, k, B * B]);
    if (k > 1) t = g.op("Gather", [t, g.ints(taps)], { axis: 2 });
    if (O > B && C > B) t = g.transpose(t, [1, 0, 2, 3]);
    return g.reshape(t, [C, O, th, tw]);
  });
}

/** Depthwise weights [c,1,kh,kw] as [C/B,taps,B], only the taps listed, in that order. */
export function depthwiseTaps(l: Layout, w: string, taps: readonly number[], th: number, tw: number): string {
  return l.once(`taps ${w} ${taps}`, () => {
    const { g, block: B } = l;
    const [c, , kh, kw] = l.image(w)!;
    const C = l.pad(c);
    const t = g.reshape(outerBlocked(l, w), [C / B, kh * kw, B]);
    return g.reshape(g.op("Gather", [t, g.ints(taps)], { axis: 1 }), [C, 1, th, tw]);
  });
}
