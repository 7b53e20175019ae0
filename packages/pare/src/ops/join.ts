/** Concat and Split: several tensors along one axis. */
import { node } from "../graph/emit.js";
import type { Dim, Shape } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { zeros } from "./calculus.js";
import { axisIn, sameDim } from "./dims.js";
import { shown, sumOf } from "./lengths.js";
import { letters, moved, reject, unknownRank, yDims } from "./move.js";
import type { AttributeReader, Operator, Site } from "./record.js";
import { awaits, ofAll, ofFirst, op } from "./record.js";
import { need } from "./site.js";
import { intsOf, tensorOf } from "./values.js";
import { keepsZero, piecesZero } from "./zero.js";

const pieces = (count: number): string => `(${Array.from({ length: count }, (_, i) => `p${i}`).join(" + ")})`;
/** The pattern of one tensor whose axis `axis` is `piece` and whose other axes all tensors share. */
const at = (shape: Shape, axis: number, piece: string): string => letters(shape, (d) => (d === axis ? piece : `a${d}`));

const Concat = op<{ axis: number }>({
  type: "Concat",
  moves: "all",
  zero: piecesZero,
  homogeneous: ofAll,
  domain: "",
  attrs: (r) => ({ axis: r.opset < 4 ? r.int("axis", 1) : r.int("axis") }),
  axes: (s) => {
    const y = s.y[0]?.shape;
    if (!y || s.x.some((x) => !x?.shape)) return unknownRank;
    const axis = axisIn(s.node, s.a.axis, y.length);
    if (s.x.length === 1) return `${at(y, axis, "p0")} -> ${at(y, axis, "p0")}`;
    return `${s.x.map((_, i) => at(y, axis, `p${i}`)).join(", ")} -> ${at(y, axis, pieces(s.x.length))}`;
  },
  shape: (s) => {
    const { type } = need(s, 0);
    const shapes = s.x.flatMap((x) => (x?.shape ? [x.shape] : []));
    const [first] = shapes;
    if (!first) return [{ type, shape: null }];
    const axis = axisIn(s.node, s.a.axis, first.length);
    const odd = shapes.find((x) => x.length !== first.length);
    if (odd) reject(s.node, `inputs ${shown(first)} and ${shown(odd)} have different ranks`);
    return [
      {
        type,
        shape: first.map((_, d): Dim => {
          if (d === axis) return shapes.length < s.x.length ? "" : sumOf(shapes.map((x) => x[d]!));
          return shapes
            .map((x) => x[d]!)
            .reduce((a, b) => sameDim(s.node, a, b, `axis ${d} of ${shapes.map(shown).join(", ")}`));
        }),
      },
    ];
  },
  grad: (g, s) => {
    const axis = axisIn(s.node, s.a.axis, s.outDims(0).length);
    const sizes = s.inputs.map((_, i) => s.dims(i)[axis]!);
    if (s.inputs.length === 1) return [s.dy[0]!];
    const parts = g.ops("Split", [s.dy[0]!, g.ints(sizes)], { axis }, sizes.length);
    return parts.map((p, i) => (s.wanted[i] ? p : null));
  },
  quant: "arithmetic",
  packs: awaits("concat"),
  raise: (g, n, opset) => {
    if (opset >= 4 || n.attributes.axis) return "same";
    g.push(node("Concat", n.inputs, n.outputs, { ...n.attributes, axis: 1 }, "", n.name));
    return n.outputs;
  },
  rewrite: "none needed",
  fold: (s) => {
    const parts = s.x.map((_, i) => s.value(i));
    const y = yDims(s);
    if (!y || parts.some((p) => p === null || p.type !== parts[0]!.type || p.strings)) return null;
    const axis = axisIn(s.node, s.a.axis, y.length);
    const inner = sizeOf(y.slice(axis + 1));
    // Concatenated along the outermost axis of each slab: element k of y lies in slab floor(k / (y[axis] * inner)).
    const whole = y[axis]! * inner;
    const starts = parts.map((_, i) => parts.slice(0, i).reduce((t, p) => t + p!.dims[axis]! * inner, 0));
    const bytes = new Uint8Array(parts.reduce((t, p) => t + p!.bytes.length, 0));
    const flat = { type: parts[0]!.type, dims: [sizeOf(y)], bytes };
    const offsets = parts.map((_, i) => parts.slice(0, i).reduce((t, p) => t + sizeOf(p!.dims), 0));
    let to = 0;
    for (const p of parts) {
      bytes.set(p!.bytes, to);
      to += p!.bytes.length;
    }
    return [
      moved(flat, y, (k) => {
        const within = k % whole;
        const i = starts.findLastIndex((b, j) => b <= within && parts[j]!.dims[axis]! > 0);
        const mine = parts[i]!.dims[axis]! * inner;
        return offsets[i]! + Math.floor(k / whole) * mine + (within - starts[i]!);
      }),
    ];
  },
});

interface SplitAttributes {
  readonly axis: number;
  readonly split: readonly number[] | null;
  readonly outputs: number;
}
/** Lengths of the outputs along the axis. From opset 18 `num_outputs` makes equal chunks of which the last may be shorter. */
function sizesOf(s: Site<SplitAttributes>, length: Dim): Dim[] {
  const given = s.a.split ?? intsOf(s.value(1));
  const count = s.node.outputs.length;
  if (given) {
    if (given.length !== count) reject(s.node, `${given.length} sizes [${given}] for ${count} outputs`);
    if (given.some((n) => n < 0) || (typeof length === "number" && given.reduce((a, b) => a + b, 0) !== length))
      reject(s.node, `sizes [${given}] do not add up to the axis' length ${length}`);
    return [...given];
  }
  if (s.x[1] || typeof length !== "number") return Array<Dim>(count).fill("");
  if (s.opset < 18 && length % count) reject(s.node, `length ${length} does not split into ${count} equal parts`);
  const chunk = Math.ceil(length / count);
  return Array.from({ length: count }, (_, k) => Math.max(0, Math.min(chunk, length - k * chunk)));
}

const Split = op<SplitAttributes>({
  type: "Split",
  moves: "first",
  zero: keepsZero,
  homogeneous: ofFirst,
  domain: "",
  attrs: (r: AttributeReader) => ({
    axis: r.int("axis", 0),
    split: r.ints("split"),
    outputs: r.int("num_outputs", 0),
  }),
  axes: (s) => {
    const x = s.x[0]?.shape;
    if (!x) return unknownRank;
    const axis = axisIn(s.node, s.a.axis, x.length);
    if (s.y.length === 1) return `${at(x, axis, "p0")} -> ${at(x, axis, "p0")}`;
    return `${at(x, axis, pieces(s.y.length))} -> ${s.y.map((_, k) => at(x, axis, `p${k}`)).join(", ")}`;
  },
  shape: (s) => {
    const { type, shape: x } = need(s, 0);
    if (!x) return s.node.outputs.map(() => ({ type, shape: null }));
    const axis = axisIn(s.node, s.a.axis, x.length);
    return sizesOf(s, x[axis]!).map((n) => ({ type, shape: x.map((d, i) => (i === axis ? n : d)) }));
  },
  grad: (g, s) => {
    if (!s.wanted[0]) return [null, null];
    const axis = axisIn(s.node, s.a.axis, s.dims(0).length);
    const parts = s.outputs.map((_, k) => s.dy[k] ?? zeros(g, s.outDims(k)));
    return [parts.length === 1 ? parts[0]! : g.op("Concat", parts, { axis }), null];
  },
  quant: "passes",
  packs: awaits("concat"),
  raise: (g, n, opset, s, to) => {
    // Opset 13 made the lengths an input, opset 18 wants the number of equal parts where there are none.
    const counts = to >= 18;
    if (opset >= 18 || (opset >= 13 && (n.inputs[1] || !counts))) return "same";
    const { axis = 0 } = s?.a ?? {};
    if (s?.a.split) g.push(node("Split", [n.inputs[0]!, g.ints(s.a.split)], n.outputs, { axis }, "", n.name));
    else if (n.inputs[1] || !counts) return "same";
    else g.push(node("Split", [n.inputs[0]!], n.outputs, { axis, num_outputs: n.outputs.length }, "", n.name));
    return n.outputs;
  },
  rewrite: (s, kept) => {
    const rank = kept.x[0]?.length ?? 0;
    const axis = axisIn(s.node, s.a.axis, rank);
    const sizes = kept.y.map((y, k) => y?.[axis] ?? yDims(s, k)?.[axis] ?? 0);
    const even = sizes.every((n) => n === sizes[0]);
    if (!s.a.split && !s.x[1] && even) return {};
    if (s.opset < 13) return { attributes: { split: { kind: "ints", value: sizes } } };
    return { attributes: { num_outputs: null }, inputs: { 1: tensorOf("int64", [sizes.length], sizes)! } };
  },
  fold: (s) => {
    const v = s.value(0);
    const ys = s.y.map((_, k) => yDims(s, k));
    if (!v || ys.some((y) => !y)) return null;
    const axis = axisIn(s.node, s.a.axis, v.dims.length);
    const inner = sizeOf(v.dims.slice(axis + 1));
    return ys.map((y, k) => {
      const start = ys.slice(0, k).reduce((t, p) => t + p![axis]!, 0);
      const mine = y![axis]! * inner;
      return moved(v, y!, (i) => Math.floor(i / mine) * v.dims[axis]! * inner + start * inner + (i % mine));
    });
  },
});

export const joins: readonly Operator[] = [Concat, Split];
