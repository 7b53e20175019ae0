/** Makers for operators that work element by element: one input, or several that broadcast. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { ElementType, Node, Tensor, ValueType } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { sumTo } from "./calculus.js";
import { broadcast } from "./dims.js";
import {
  type AttributeReader,
  awaits,
  type GradientSite,
  type HomogeneousRule,
  type None,
  none,
  type Operator,
  ofFirst,
  op,
  type QuantRole,
  type Site,
  type ZeroRule,
} from "./record.js";
import { at, need } from "./site.js";
import { numbersOf, smallElements, tensorOf } from "./values.js";

export const inexact = none("its last digits depend on the kernel, so onnxruntime folds it");
export const notInRange = none("it has no place in an integer graph");

/** What a gradient formula of one input sees: names of x, y and dL/dy. */
export interface Flow {
  readonly x: string;
  readonly y: string;
  readonly dy: string;
}

export interface UnarySpec<A> {
  readonly attrs?: (r: AttributeReader) => A;
  readonly domain?: string;
  /** dL/dx; "zero" where the derivative is zero almost everywhere. */
  readonly grad: ((g: Emitter, f: Flow, a: A, s: GradientSite<A>) => string) | "zero" | None;
  readonly quant: QuantRole;
  /** f(0) = 0. */
  readonly zero?: boolean | ((a: A) => boolean);
  /** f(s x) = s f(x) for s > 0. */
  readonly homogeneous?: true;
  readonly rectifies?: true;
  readonly moves?: "first";
  readonly kernel?: string;
  readonly type?: (x: ValueType, a: A) => ElementType;
  readonly raise?: Operator<A>["raise"];
  /** The exact value for one number: only for operators whose result does not depend on the kernel. */
  readonly fold?: ((x: number, a: A, type: ElementType) => number) | None;
}

/** Old versions named the buffers that an operator may overwrite; nothing else changed in these. */
export const dropConsumed = (g: Emitter, node: Node): readonly string[] | "same" => {
  if (!Object.hasOwn(node.attributes, "consumed_inputs")) return "same";
  const { consumed_inputs: _, ...attributes } = node.attributes;
  g.push({ ...node, attributes });
  return node.outputs;
};

/** y = f(x), element by element; the output has x's shape. */
export function unary<A = unknown>(type: string, spec: UnarySpec<A>): Operator {
  const { grad, fold } = spec;
  const typeOf = spec.type ?? ((x: ValueType) => x.type);
  return op<A>({
    type,
    domain: spec.domain ?? "",
    attrs: spec.attrs ?? (() => ({}) as A),
    axes: "a... -> a...",
    shape: (s) => [{ type: typeOf(need(s, 0), s.a), shape: need(s, 0).shape }],
    grad:
      typeof grad === "function"
        ? (g, s) => {
            const dy = s.dy[0];
            if (!s.wanted[0] || !dy) return [null];
            return [grad(g, { x: s.inputs[0]!, y: s.outputs[0]!, dy }, s.a, s)];
          }
        : grad === "zero"
          ? (_, s) => s.inputs.map(() => null)
          : grad,
    quant: spec.quant,
    zero: (z, s) => z[0] === true && (typeof spec.zero === "function" ? spec.zero(s.a) : spec.zero === true),
    ...(spec.homogeneous ? { homogeneous: ofFirst } : {}),
    ...(spec.rectifies ? { rectifies: true } : {}),
    ...(spec.moves ? { moves: spec.moves } : {}),
    packs: awaits(spec.kernel ?? type.toLowerCase()),
    raise: spec.raise ?? dropConsumed,
    rewrite: "none needed",
    fold:
      typeof fold === "function"
        ? (s) => {
            const x = s.value(0);
            const values = x && sizeOf(x.dims) <= smallElements ? numbersOf(x) : null;
            if (!x || !values) return null;
            const to = typeOf(x && { type: x.type, shape: x.dims }, s.a);
            return [
              tensorOf(
                to,
                x.dims,
                values.map((v) => fold(v, s.a, to)),
              ),
            ];
          }
        : (fold ?? inexact),
  });
}

export interface BroadcastSpec<A> {
  readonly sums?: true;
  readonly attrs?: (r: AttributeReader) => A;
  /** dL/d(input i) at the output's shape; the maker sums it back to the input's. null: zero. */
  readonly grad: ((g: Emitter, i: number, f: Names, a: A, s: GradientSite<A>) => string | null) | None;
  readonly quant: QuantRole;
  readonly zero?: ZeroRule<A>;
  readonly homogeneous?: HomogeneousRule;
  readonly kernel?: string;
  readonly type?: (x: readonly ValueType[]) => ElementType;
  readonly fold?: ((x: readonly number[], a: A, type: ElementType) => number) | None;
}
export interface Names {
  readonly x: readonly string[];
  readonly y: string;
  readonly dy: string;
}

/** y = f(x0, x1, ...) with NumPy's broadcasting; before opset 7 the second input is aligned by attributes instead. */
export function broadcasting<A = unknown>(type: string, spec: BroadcastSpec<A>): Operator {
  const { grad, fold } = spec;
  const typeOf = spec.type ?? ((x: readonly ValueType[]) => x[0]!.type);
  return op<A>({
    type,
    domain: "",
    attrs: spec.attrs ?? (() => ({}) as A),
    axes: (s) => broadcastAxes(s),
    shape: (s) => {
      const x = s.node.inputs.map((_, i) => need(s, i));
      const shape =
        alignment(s) === null
          ? broadcast(
              s.node,
              x.map((v) => v.shape),
            )
          : x[0]!.shape;
      return [{ type: typeOf(x), shape }];
    },
    grad:
      typeof grad === "function"
        ? (g, s) => {
            const dy = s.dy[0];
            if (!dy) return s.inputs.map(() => null);
            const names = { x: s.inputs, y: s.outputs[0]!, dy };
            return s.inputs.map((_, i) => {
              const dx = s.wanted[i] ? grad(g, i, names, s.a, s) : null;
              return dx && sumTo(g, dx, s.outDims(0), s.dims(i));
            });
          }
        : grad,
    quant: spec.quant,
    ...(spec.sums ? { sums: true } : {}),
    ...(spec.zero ? { zero: spec.zero } : {}),
    ...(spec.homogeneous ? { homogeneous: spec.homogeneous } : {}),
    packs: awaits(spec.kernel ?? type.toLowerCase()),
    raise: raiseBroadcast,
    rewrite: "none needed",
    fold: typeof fold === "function" ? (s) => foldBroadcast(s, fold, typeOf) : (fold ?? inexact),
  });
}

function foldBroadcast<A>(
  s: Site<A>,
  f: (x: readonly number[], a: A, type: ElementType) => number,
  typeOf: (x: readonly ValueType[]) => ElementType,
): readonly (Tensor | null)[] | null {
  const tensors = s.node.inputs.map((_, i) => s.value(i));
  if (tensors.some((t) => !t || sizeOf(t.dims) > smallElements) || alignment(s) !== null) return null;
  const x = tensors as readonly Tensor[];
  const values = x.map(numbersOf);
  if (values.some((v) => v === null)) return null;
  const dims = broadcast(
    s.node,
    x.map((t) => t.dims),
  ) as readonly number[];
  if (sizeOf(dims) > smallElements) return null;
  const type = typeOf(x.map((t) => ({ type: t.type, shape: t.dims })));
  const strides = x.map((t) => broadcastStrides(t.dims, dims));
  const out = Array.from({ length: sizeOf(dims) }, (_, k) =>
    f(
      x.map((_, i) => values[i]![offset(k, dims, strides[i]!)]!),
      s.a,
      type,
    ),
  );
  return [tensorOf(type, dims, out)];
}
/** Elements to step over per axis of `to`; 0 where `dims` is repeated. */
function broadcastStrides(dims: readonly number[], to: readonly number[]): number[] {
  const lead = to.length - dims.length;
  return to.map((_, d) => (d < lead || dims[d - lead] === 1 ? 0 : sizeOf(dims.slice(d - lead + 1))));
}
function offset(index: number, dims: readonly number[], strides: readonly number[]): number {
  let rest = index;
  let at = 0;
  for (let d = dims.length - 1; d >= 0; d--) {
    at += (rest % dims[d]!) * strides[d]!;
    rest = Math.floor(rest / dims[d]!);
  }
  return at;
}

/** Before opset 7: at which axis of input 0 input 1 starts, where that is not the right end; else null. */
function alignment(s: Site): number | null {
  const { broadcast: on, axis } = s.node.attributes;
  if (s.opset >= 7 || on?.kind !== "int" || Number(on.value) === 0) return null;
  const [a, b] = [s.x[0]?.shape, s.x[1]?.shape];
  if (!a || !b || axis?.kind !== "int") return null;
  const start = Number(axis.value) < 0 ? Number(axis.value) + a.length : Number(axis.value);
  return start + b.length === a.length ? null : start;
}

function broadcastAxes(s: Site): string {
  const start = alignment(s);
  if (start === null) return `${s.node.inputs.map(() => "a...").join(", ")} -> a...`;
  const a = s.x[0]!.shape!.map((_, d) => `a${d}x`);
  return `${a.join(" ")}, ${a.slice(start, start + s.x[1]!.shape!.length).join(" ")} -> ${a.join(" ")}`;
}

/** Opset 7's form: input 1 gets trailing axes of length 1 where the attributes aligned it further left. */
export function raiseBroadcast(g: Emitter, node: Node, opset: number, s: Site | null): readonly string[] | "same" {
  if (opset >= 7) return "same";
  const { consumed_inputs: _c, broadcast: on, axis, ...attributes } = node.attributes;
  if (_c === undefined && on === undefined && axis === undefined) return "same";
  const inputs = [...node.inputs];
  if (on?.kind === "int" && Number(on.value) !== 0 && axis?.kind === "int") {
    const [a, b] = [s ? need(s, 0).shape : null, s ? need(s, 1).shape : null];
    if (!s || !a || !b) throw new PareError(`${at(node)}: "axis" of opset ${opset} needs known ranks to be raised`);
    const start = alignment(s);
    if (start !== null) {
      const tail = Array.from({ length: a.length - start - b.length }, (_, i) => b.length + i);
      inputs[1] = g.op("Unsqueeze", [inputs[1]!, g.ints(tail)]);
    }
  }
  g.push({ ...node, inputs, attributes });
  return node.outputs;
}
