/** BatchNormalization, and multiplications and additions by constants per channel, that follow a contraction -> its weight and bias. */
import { infer } from "../analyze/infer.js";
import type { Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { Attributes } from "../ops/site.js";
import { eachBody, type Known, producers, readers } from "./each-body.js";

/** y = x scale + shift per output channel, in float64. */
interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}
/** Where a contraction keeps its output channels. */
interface Contraction {
  readonly channels: number;
  /** Axis of the output that the channels are on. */
  readonly axis: number;
  /** Channel of the element at index i of the weight. */
  channelOf(i: number): number;
  /** Factor that the bias is multiplied by when the node runs. */
  readonly beta: number;
}

/** The same function up to rounding. Weights that other nodes read, or that lie outside of their reader's body, are left alone. */
export function foldScales(graph: Graph): Graph {
  return eachBody(graph, infer(graph), foldBody);
}

function foldBody(body: Subgraph, known: Known): Subgraph {
  const work: Work = {
    makers: new Map(producers(body.nodes)),
    counts: readers(body),
    initializers: new Map(body.initializers),
    merged: new Map(),
  };
  for (const n of body.nodes) {
    foldInto(work, n, known);
    if (!work.merged.has(n)) factorInto(work, n, known);
  }
  if (work.merged.size === 0) return body;
  const nodes = body.nodes.flatMap((n) => work.merged.get(n) ?? (work.merged.has(n) ? [] : [n]));
  return { ...body, nodes, initializers: work.initializers };
}
interface Work {
  readonly makers: Map<string, Node>;
  readonly counts: ReadonlyMap<string, number>;
  readonly initializers: Map<string, Tensor>;
  /** What stands in the place of a node; null: nothing. */
  readonly merged: Map<Node, Node | null>;
}

/** A factor of a product of computed values -> the weight of one of them, through what only moves elements. */
function factorInto(work: Work, next: Node, known: Known): void {
  const { makers, counts, initializers } = work;
  const [x, constants] = operands(next, known);
  const [factor] = constants;
  if (
    x === null ||
    !(next.op === "Mul" || next.op === "Div") ||
    factor?.type !== "float32" ||
    sizeOf(factor.dims) !== 1
  )
    return;
  const product = makers.get(x);
  if (product?.op !== "MatMul" || counts.get(x) !== 1 || factor.dims.length > 2) return;
  const value = next.op === "Mul" ? float32sOf(factor)[0]! : 1 / float32sOf(factor)[0]!;
  for (const side of product.inputs) {
    let name = side;
    let maker = makers.get(name);
    while (maker && counts.get(name) === 1 && moving.has(maker.op) && maker.domain === "") {
      name = maker.inputs[0]!;
      maker = makers.get(name);
    }
    const weight = maker?.op === "MatMul" && maker.domain === "" ? initializers.get(maker.inputs[1]!) : undefined;
    if (!maker || counts.get(name) !== 1 || weight?.type !== "float32" || counts.get(maker.inputs[1]!) !== 1) continue;
    const scaled = float32sOf(weight).map((w) => w * value);
    if (!scaled.every(Number.isFinite)) continue;
    initializers.set(maker.inputs[1]!, floats(scaled, weight.dims));
    const merged = { ...product, outputs: [next.outputs[0]!] };
    work.merged.set(product, null);
    work.merged.set(next, merged);
    makers.set(next.outputs[0]!, merged);
    return;
  }
}
const moving = new Set(["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"]);

/** Lets the contraction before `next` do its work, where that is possible. */
function foldInto(work: Work, next: Node, known: Known): void {
  const { makers, counts, initializers } = work;
  const [x, constants] = operands(next, known);
  const before = x === null ? undefined : makers.get(x);
  if (x === null || !before || counts.get(x) !== 1) return;
  const form = contraction(before, initializers, known);
  const affine = form && affineOf(next, constants, form, known);
  if (!form || !affine) return;
  const [weightName, biasName] = [before.inputs[1]!, before.inputs[2] ?? ""];
  const weight = initializers.get(weightName)!;
  const bias = biasName ? initializers.get(biasName) : null;
  const name = biasName || `${before.outputs[0]}_bias`;
  if (counts.get(weightName) !== 1 || (biasName && counts.get(biasName) !== 1)) return;
  if (weight.type !== "float32" || (biasName && (bias?.type !== "float32" || sizeOf(bias.dims) !== form.channels)))
    return;
  if (!biasName && (initializers.has(name) || known.typeOf(name))) return;
  const oldBias = bias ? float32sOf(bias) : new Float32Array(form.channels);
  const newBias = oldBias.map((b, c) => (b * form.beta * affine.scale[c]! + affine.shift[c]!) / form.beta);
  const scaled = float32sOf(weight).map((w, i) => w * affine.scale[form.channelOf(i)]!);
  if (!scaled.every(Number.isFinite) || !newBias.every(Number.isFinite)) return;
  initializers.set(weightName, floats(scaled, weight.dims));
  initializers.set(name, floats(newBias, bias?.dims ?? [form.channels]));
  const merged = { ...before, inputs: [before.inputs[0]!, weightName, name], outputs: [next.outputs[0]!] };
  // `before` may be a merged node itself: what it stood for goes.
  for (const [n, standing] of work.merged) if (standing === before) work.merged.set(n, null);
  work.merged.set(before, null);
  work.merged.set(next, merged);
  makers.set(next.outputs[0]!, merged);
}

/** The computed input and the constant ones, in the node's order. */
function operands(n: Node, known: Known): [string | null, readonly Tensor[]] {
  if (n.domain !== "") return [null, []];
  if (n.op === "BatchNormalization") {
    const values = n.inputs.slice(1).map((name) => known.valueOf(name));
    return values.every((v): v is Tensor => v !== null) ? [n.inputs[0]!, values] : [null, []];
  }
  if (!["Mul", "Add", "Sub", "Div"].includes(n.op) || n.inputs.length !== 2) return [null, []];
  const values = n.inputs.map((name) => known.valueOf(name));
  const at = values[0] ? (values[1] ? -1 : 1) : 0;
  // A constant divided by x is no scale.
  if (at < 0 || !values[1 - at] || (n.op === "Div" && at === 1)) return [null, []];
  return [n.inputs[at]!, [values[1 - at]!]];
}

function contraction(n: Node, initializers: ReadonlyMap<string, Tensor>, known: Known): Contraction | null {
  const weight = initializers.get(n.inputs[1] ?? "");
  if (n.domain !== "" || !weight || n.outputs.length !== 1 || known.opset < 7) return null;
  const read = new Attributes(n, known.opset);
  const [first = 1, second = 1] = weight.dims;
  const inner = sizeOf(weight.dims.slice(2));
  if (n.op === "Conv") return { channels: first, axis: 1, channelOf: (i) => Math.floor(i / (second * inner)), beta: 1 };
  if (n.op === "ConvTranspose") {
    const group = read.int("group", 1);
    const perGroup = first / group;
    return {
      channels: second * group,
      axis: 1,
      channelOf: (i) => Math.floor(i / (second * inner * perGroup)) * second + (Math.floor(i / inner) % second),
      beta: 1,
    };
  }
  if (n.op !== "Gemm" || weight.dims.length !== 2 || read.float("beta", 1) === 0) return null;
  const transposed = read.int("transB", 0) === 1;
  const beta = n.inputs[2] ? read.float("beta", 1) : 1;
  if (!n.inputs[2] && read.float("beta", 1) !== 1) return null;
  return {
    channels: transposed ? first : second,
    axis: 1,
    channelOf: transposed ? (i) => Math.floor(i / second) : (i) => i % second,
    beta,
  };
}

function affineOf(n: Node, constants: readonly Tensor[], form: Contraction, known: Known): Affine | null {
  const { channels } = form;
  if (constants.some((t) => t.type !== "float32")) return null;
  const ones = () => new Float64Array(channels).fill(1);
  if (n.op === "BatchNormalization") {
    const record = recordOf(n)!;
    const a = record.attrs(new Attributes(n, known.opset)) as { epsilon: number; spatial: boolean; training: boolean };
    const values = constants.map(float32sOf);
    if (!a.spatial || a.training || n.outputs.slice(1).some(Boolean) || values.some((v) => v.length !== channels))
      return null;
    const [gamma, beta, mean, variance] = values as [Float32Array, Float32Array, Float32Array, Float32Array];
    const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c]! + a.epsilon));
    return { scale, shift: scale.map((s, c) => beta[c]! - mean[c]! * s) };
  }
  const rank = known.typeOf(n.outputs[0]!)?.shape?.length;
  const value = rank === undefined ? null : perChannel(constants[0]!, rank, form);
  if (!value) return null;
  const negated = n.op === "Sub" && known.valueOf(n.inputs[0]!) !== null;
  if (n.op === "Mul") return { scale: value, shift: new Float64Array(channels) };
  if (n.op === "Div") return { scale: value.map((v) => 1 / v), shift: new Float64Array(channels) };
  if (n.op === "Add") return { scale: ones(), shift: value };
  return negated ? { scale: ones().map((v) => -v), shift: value } : { scale: ones(), shift: value.map((v) => -v) };
}

/** A constant that varies along the channels at most. */
function perChannel(t: Tensor, rank: number, { channels, axis }: Contraction): Float64Array | null {
  if (t.dims.length > rank) return null;
  const place = axis - (rank - t.dims.length);
  if (t.dims.some((d, i) => d !== 1 && (i !== place || d !== channels))) return null;
  const values = float32sOf(t);
  return Float64Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c]!);
}
