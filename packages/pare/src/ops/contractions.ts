/** Matrix products: Gemm and MatMul. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Dim, Shape } from "../graph/graph.js";
import { sumTo, times } from "./calculus.js";
import { broadcast, sameDim } from "./dims.js";
import { inexact, raiseBroadcast } from "./elementwise.js";
import { awaits, type GradientSite, type Operator, ofProduct, op, type Site } from "./record.js";
import { at, need } from "./site.js";
import { anyZero, contractsZero } from "./zero.js";

interface GemmAttributes {
  readonly alpha: number;
  readonly beta: number;
  readonly transA: boolean;
  readonly transB: boolean;
}

/** y [m n] = alpha A B + beta C, with A [m k] or [k m] and B [k n] or [n k]. */
const gemm = op<GemmAttributes>({
  type: "Gemm",
  zero: contractsZero,
  homogeneous: ofProduct,
  domain: "",
  attrs: (r) => ({
    alpha: r.float("alpha", 1),
    beta: r.float("beta", 1),
    transA: r.int("transA", 0) !== 0,
    transB: r.int("transB", 0) !== 0,
  }),
  axes: (s) => {
    const rank = s.x[2]?.shape?.length ?? 0;
    const bias = rank > 1 ? "m n" : rank === 1 ? "n" : "";
    return `${s.a.transA ? "k m" : "m k"}, ${s.a.transB ? "n k" : "k n"}, ${bias} -> m n`;
  },
  shape: (s) => {
    const [a, b] = [need(s, 0), need(s, 1)];
    const matrix = (shape: Shape | null, transposed: boolean, i: number): readonly [Dim, Dim] => {
      if (!shape) return ["", ""];
      if (shape.length !== 2)
        throw new PareError(`${at(s.node)}: input ${i} [${shape.map((d) => d || "?")}] should be a matrix`);
      return transposed ? [shape[1]!, shape[0]!] : [shape[0]!, shape[1]!];
    };
    const [m, k] = matrix(a.shape, s.a.transA, 0);
    const [k2, n] = matrix(b.shape, s.a.transB, 1);
    sameDim(s.node, k, k2, "inner lengths of A and B");
    return [{ type: a.type, shape: [m, n] }];
  },
  grad: (g, s) => {
    const dy = s.dy[0];
    if (!dy) return s.inputs.map(() => null);
    const [a, b] = s.inputs as [string, string];
    const { transA, transB, alpha, beta } = s.a;
    const product = (l: string, lt: boolean, r: string, rt: boolean): string =>
      g.op("Gemm", [l, r], {
        ...(alpha === 1 ? {} : { alpha: { float: alpha } }),
        ...(lt ? { transA: 1 } : {}),
        ...(rt ? { transB: 1 } : {}),
      });
    const da = () => (transA ? product(b, transB, dy, true) : product(dy, false, b, !transB));
    const db = () => (transB ? product(dy, true, a, transA) : product(a, !transA, dy, false));
    const dc = () => sumTo(g, times(g, dy, beta), s.outDims(0), s.dims(2));
    return [s.wanted[0] ? da() : null, s.wanted[1] ? db() : null, s.wanted[2] ? dc() : null].slice(0, s.inputs.length);
  },
  quant: "weights",
  packs: awaits("gemm"),
  raise: (g, node, opset, s) =>
    // Before opset 7 C was aligned at the right end where `broadcast` said so: as NumPy does.
    opset < 7 ? raiseBroadcast(g, node, opset, s) : "same",
  rewrite: "none needed",
  fold: inexact,
  unroll: (s, weight) => {
    const w = s.x[weight]?.shape;
    const { transA, transB, alpha, beta } = s.a;
    if (alpha !== 1 || beta !== 1 || !w?.every((d) => typeof d === "number")) return null;
    const transposed = weight === 1 ? !transB : transA;
    const [inputs, outputs] = (transposed ? w : [w[1], w[0]]) as readonly [number, number];
    const matrix = (rows: number, turn: boolean) => (g: Emitter, name: string, every: number) =>
      g.reshape(g.everyOf(turn ? g.transpose(name, [1, 0]) : name, [1], [every]), [1, rows, -1]);
    const x = matrix(inputs, weight === 1 ? !transA : transB);
    return { groups: 1, inputs, outputs, transposed, x, y: matrix(outputs, weight === 1) };
  },
});

const withLength1 = (shape: Shape, first: boolean): Shape =>
  shape.length > 1 ? shape : first ? [1, ...shape] : [...shape, 1];

/** NumPy's matmul: y [b... m n] = A [b... m k] B [b... k n]; a vector is a matrix whose other axis is dropped again. */
const matmul = op({
  type: "MatMul",
  zero: anyZero,
  homogeneous: [[0], [1]],
  domain: "",
  attrs: () => ({}),
  axes: (s) => {
    const [a, b] = [s.x[0]?.shape, s.x[1]?.shape];
    const left = a?.length === 1 ? "k" : "b... m k";
    const right = b?.length === 1 ? "k" : "b... k n";
    const out = `${a?.length === 1 && b?.length === 1 ? "" : "b..."}${a?.length === 1 ? "" : " m"}${b?.length === 1 ? "" : " n"}`;
    return `${left}, ${right} -> ${out.trim()}`;
  },
  shape: (s) => [{ type: need(s, 0).type, shape: productShape(s) }],
  grad: (g, s) => {
    const dy = s.dy[0];
    return dy ? matmulGradient(g, s, dy) : [null, null];
  },
  quant: "weights",
  packs: awaits("matmul"),
  raise: "same",
  rewrite: "none needed",
  fold: inexact,
  unroll: (s, weight) => {
    const [w, data] = [s.x[weight]?.shape, s.x[1 - weight]?.shape];
    if (w?.length !== 2 || !w.every((d) => typeof d === "number")) return null;
    if (weight === 0 && (data?.length ?? 0) < 2) return null;
    const [inputs, outputs] = (weight === 1 ? w : [w[1], w[0]]) as readonly [number, number];
    const matrix = (rows: number) => (g: Emitter, name: string, every: number) => {
      const lines = g.reshape(weight === 1 ? name : swapped(g, name, data!.length), [-1, rows]);
      return g.reshape(g.transpose(g.everyOf(lines, [0], [every]), [1, 0]), [1, rows, -1]);
    };
    return { groups: 1, inputs, outputs, transposed: weight === 1, x: matrix(inputs), y: matrix(outputs) };
  },
});

function productShape(s: Site): Shape | null {
  const [a, b] = [need(s, 0).shape, need(s, 1).shape];
  if (!a || !b) return null;
  if (!a.length || !b.length) throw new PareError(`${at(s.node)}: a scalar has no matrix product`);
  const [l, r] = [withLength1(a, true), withLength1(b, false)];
  sameDim(s.node, l.at(-1)!, r.at(-2)!, "inner lengths of A and B");
  const batch = broadcast(s.node, [l.slice(0, -2), r.slice(0, -2)])!;
  return [...batch, ...(a.length > 1 ? [l.at(-2)!] : []), ...(b.length > 1 ? [r.at(-1)!] : [])];
}

const swapped = (g: Emitter, x: string, rank: number): string =>
  g.transpose(
    x,
    Array.from({ length: rank }, (_, d) => (d < rank - 2 ? d : rank - 2 + (rank - 1 - d))),
  );

function matmulGradient(g: Emitter, s: GradientSite, dy: string): (string | null)[] {
  const [a, b] = [s.dims(0), s.dims(1)];
  const [l, r] = [withLength1(a, true) as number[], withLength1(b, false) as number[]];
  const full = [...(broadcast(s.node, [l.slice(0, -2), r.slice(0, -2)]) as number[]), l.at(-2)!, r.at(-1)!];
  const matrix = (x: string, from: readonly number[], to: readonly number[]) =>
    from.length === to.length ? x : g.reshape(x, to);
  const x = () => matrix(s.inputs[0]!, a, l);
  const w = () => matrix(s.inputs[1]!, b, r);
  const d = matrix(dy, s.outDims(0), full);
  const back = (grad: string, from: readonly number[], two: readonly number[], to: readonly number[]) =>
    matrix(sumTo(g, grad, from, two), two, to);
  const batch = full.slice(0, -2);
  const dx = () => back(g.op("MatMul", [d, swapped(g, w(), r.length)]), [...batch, l.at(-2)!, l.at(-1)!], l, a);
  const dw = () => {
    // One weight for the whole batch: fold the batch into the rows, so that the sum happens inside the product.
    if (r.length === 2 && l.length > 2 && full.length === l.length) {
      const rows = [-1, l.at(-1)!];
      return matrix(g.op("Gemm", [g.reshape(x(), rows), g.reshape(d, [-1, r[1]!])], { transA: 1 }), r, b);
    }
    return back(g.op("MatMul", [swapped(g, x(), l.length), d]), [...batch, r.at(-2)!, r.at(-1)!], r, b);
  };
  return [s.wanted[0] ? dx() : null, s.wanted[1] ? dw() : null];
}

export const contractions: readonly Operator[] = [gemm, matmul];
