/** Operators that permute elements: Transpose, DepthToSpace, SpaceToDepth. */
import type { Emitter } from "../graph/emit.js";
import { axisIn } from "./dims.js";
import { productOf, quotientOf, shown } from "./lengths.js";
import { inverse, letters, moved, reject, stridesOf, unknownRank, yDims } from "./move.js";
import type { GradientSite, Operator, Site } from "./record.js";
import { awaits, none, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { keepsZero } from "./zero.js";

const permOf = (s: Site<{ perm: readonly number[] | null }>, rank: number): number[] => {
  const perm = s.a.perm?.map((p) => axisIn(s.node, p, rank)) ?? Array.from({ length: rank }, (_, d) => rank - 1 - d);
  if (perm.length !== rank || new Set(perm).size !== rank)
    reject(s.node, `perm [${perm}] should name each of the ${rank} axes of x ${shown(need(s, 0).shape)} once`);
  return perm;
};

const Transpose = op<{ perm: readonly number[] | null }>({
  type: "Transpose",
  moves: "first",
  domain: "",
  zero: keepsZero,
  homogeneous: ofFirst,
  attrs: (r) => ({ perm: r.ints("perm") }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    if (!x) return unknownRank;
    return `${letters(x, (d) => `a${d}`)} -> ${permOf(s, x.length)
      .map((d) => `a${d}`)
      .join(" ")}`;
  },
  shape: (s) => {
    const { type, shape } = need(s, 0);
    if (shape) return [{ type, shape: permOf(s, shape.length).map((d) => shape[d]!) }];
    return [{ type, shape: s.a.perm ? s.a.perm.map(() => "") : null }];
  },
  grad: (g, s) => [s.wanted[0] ? g.transpose(s.dy[0]!, inverse(permOf(s, s.dims(0).length))) : null],
  quant: "passes",
  packs: awaits("transpose"),
  raise: "same",
  rewrite: "none needed",
  fold: (s) => {
    const [v, y] = [s.value(0), yDims(s)];
    if (!v || !y) return null;
    const to = stridesOf(y);
    const from = stridesOf(v.dims);
    const perm = permOf(s, y.length);
    return [moved(v, y, (k) => perm.reduce((i, p, d) => i + (Math.floor(k / to[d]!) % y[d]!) * from[p]!, 0))];
  },
});

interface Block {
  readonly block: number;
  readonly mode: string;
}
const moves = {
  domain: "",
  zero: keepsZero,
  homogeneous: ofFirst,
  quant: "passes" as const,
  packs: awaits("transpose"),
  raise: "same" as const,
  rewrite: "none needed" as const,
  fold: none("not shape arithmetic"),
};
const blockOf = (s: Site<Block>): number =>
  s.a.block >= 1 ? s.a.block : reject(s.node, `blocksize is ${s.a.block}, should be at least 1`);

/** n (b b c) h w -> n c (h b) (w b), or with (c b b) in mode CRD. */
const DepthToSpace = op<Block>({
  ...moves,
  type: "DepthToSpace",
  attrs: (r) => ({ block: r.int("blocksize"), mode: r.string("mode", "DCR") }),
  axes: (s) => ({
    text: `n ${s.a.mode === "CRD" ? "(c p! q!)" : "(p! q! c)"} h w -> n c (h p!) (w q!)`,
    sizes: { p: s.a.block, q: s.a.block },
  }),
  shape: (s) => {
    const { type, shape } = need(s, 0);
    const b = blockOf(s);
    if (s.a.mode !== "DCR" && s.a.mode !== "CRD") reject(s.node, `mode "${s.a.mode}" is neither DCR nor CRD`);
    if (!shape) return [{ type, shape: ["", "", "", ""] }];
    if (shape.length !== 4) reject(s.node, `x ${shown(shape)} should be [n, c, h, w]`);
    const [n, c, h, w] = [shape[0]!, shape[1]!, shape[2]!, shape[3]!];
    const depth =
      quotientOf([c], [b, b]) ?? reject(s.node, `${c} channels of x ${shown(shape)} are no multiple of ${b} x ${b}`);
    return [{ type, shape: [n, depth, productOf([h, b]), productOf([w, b])] }];
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null];
    return [s.a.mode === "DCR" ? toDepth(g, s) : g.reshape(turn(g, s.dy[0]!, s, s.outDims(0)), s.dims(0))];
  },
});
const toDepth = (g: Emitter, s: GradientSite<Block>): string =>
  g.op("SpaceToDepth", [s.dy[0]!], { blocksize: s.a.block });
/** [n, c, h b, w b] -> [n, c, b, b, h, w]. */
const turn = (g: Emitter, y: string, s: Site<Block>, [n, c, h, w]: readonly number[]): string => {
  const b = s.a.block;
  return g.transpose(g.reshape(y, [n!, c!, h! / b, b, w! / b, b]), [0, 1, 3, 5, 2, 4]);
};

/** n c (h b) (w b) -> n (b b c) h w. */
const SpaceToDepth = op<Block>({
  ...moves,
  type: "SpaceToDepth",
  attrs: (r) => ({ block: r.int("blocksize"), mode: "DCR" }),
  axes: (s) => ({ text: "n c (h p!) (w q!) -> n (p! q! c) h w", sizes: { p: s.a.block, q: s.a.block } }),
  shape: (s) => {
    const { type, shape } = need(s, 0);
    const b = blockOf(s);
    if (!shape) return [{ type, shape: ["", "", "", ""] }];
    if (shape.length !== 4) reject(s.node, `x ${shown(shape)} should be [n, c, h, w]`);
    const [n, c, h, w] = [shape[0]!, shape[1]!, shape[2]!, shape[3]!];
    const high = quotientOf([h], [b]);
    const wide = quotientOf([w], [b]);
    if (high === null || wide === null)
      reject(s.node, `height and width of x ${shown(shape)} should be multiples of blocksize ${b}`);
    return [{ type, shape: [n, productOf([c, b, b]), high, wide] }];
  },
  grad: (g, s) => [s.wanted[0] ? g.op("DepthToSpace", [s.dy[0]!], { blocksize: s.a.block, mode: "DCR" }) : null],
});

export const arrangements: readonly Operator[] = [Transpose, DepthToSpace, SpaceToDepth];
