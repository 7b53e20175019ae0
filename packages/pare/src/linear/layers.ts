/** The layers of a graph that are one matrix times their inputs: Graph -> weights as matrices, and what is none and why. */
import type { Inferred } from "../analyze/infer.js";
import type { Attribute, Graph, Node } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { Attributes, at, opsetOf } from "../ops/site.js";
import { type Matrix, matrix, transpose } from "./matrix.js";

/** y = weight x + bias at every position: of a convolution's output, or of the rows of a matrix product. */
export interface LinearLayer {
  /** The node's name, or its output's. */
  readonly name: string;
  readonly node: Node;
  /** The initialiser, and its dims. */
  readonly tensor: string;
  readonly dims: readonly number[];
  /** [o, c k...]: one row per output channel, for each input channel the kernel's elements. */
  readonly weight: Matrix;
  /** [o]; null: the layer has none (it may be given one where `takesBias`). */
  readonly bias: Float64Array | null;
  readonly takesBias: boolean;
  readonly inputs: number;
  readonly outputs: number;
  /** Lengths of the kernel; [] for a matrix product. */
  readonly kernel: readonly number[];
  /** Strides, pads, dilations, auto_pad of a convolution, as the node has them. */
  readonly window: Readonly<Record<string, Attribute>>;
  /** Spatial lengths going in and out; of a matrix product its rows. For inputs of the dims that shapes were inferred with. */
  readonly from: readonly number[];
  readonly to: readonly number[];
}
export interface LeftLayer {
  readonly node: string;
  readonly why: string;
}
type Form = Pick<LinearLayer, "weight" | "takesBias" | "kernel" | "window">;

/** How each operator lays its weight out: a description, or why the node is no such layer. `w`: a row for each index of its first axis. */
const forms: Readonly<
  Record<string, (node: Node, w: Matrix, dims: readonly number[], opset: number) => Form | string>
> = {
  Conv: (node, w, dims, opset) => {
    const group = new Attributes(node, opset).int("group", 1);
    if (group !== 1) return `its ${group} groups are a factorization already`;
    const { group: _, kernel_shape: __, ...window } = node.attributes;
    return { weight: w, takesBias: true, kernel: dims.slice(2), window };
  },
  Gemm: (node, w, _, opset) => {
    const a = new Attributes(node, opset);
    if (a.int("transA", 0) !== 0) return "it reads its input transposed";
    if (a.float("alpha", 1) !== 1 || a.float("beta", 1) !== 1) return "its alpha or beta is not 1";
    return { weight: a.int("transB", 0) ? w : transpose(w), takesBias: opset >= 7, kernel: [], window: {} };
  },
  MatMul: (_, w) => ({ weight: transpose(w), takesBias: false, kernel: [], window: {} }),
};

/** Layers in the order of the nodes, and the other nodes with weights, each with its reason. */
export function linearLayers(
  graph: Graph,
  inferred: Inferred,
): { readonly layers: readonly LinearLayer[]; readonly left: readonly LeftLayer[] } {
  const layers: LinearLayer[] = [];
  const left: LeftLayer[] = [];
  for (const node of graph.nodes) {
    const name = node.name || (node.outputs.find(Boolean) ?? node.op);
    const found = layerAt(graph, inferred, node, name);
    if (typeof found === "string") left.push({ node: name, why: found });
    else if (found) layers.push(found);
  }
  return { layers, left };
}

function layerAt(graph: Graph, inferred: Inferred, node: Node, name: string): LinearLayer | string | null {
  const record = recordOf(node);
  if (!record) {
    const constants = node.inputs.some((x) => graph.initializers.has(x));
    return constants ? `${at(node)}: unknown operator, its constants stay as they are` : null;
  }
  if (record.quant !== "weights") return null;
  const form = node.domain === "" ? forms[node.op] : undefined;
  if (!form) return `${node.op} has no factorization here`;
  const tensor = graph.initializers.get(node.inputs[1] ?? "");
  if (!tensor) return "its weight is computed while running";
  if (tensor.type !== "float32") return `its weight is ${tensor.type}; only float32 is factorised`;
  const { dims } = tensor;
  if (dims.length < 2 || (dims.length > 2 && node.op !== "Conv")) return `its weight is [${dims}]: no matrix`;
  const values = matrix(dims[0]!, sizeOf(dims) / dims[0]!, Float64Array.from(float32sOf(tensor)));
  const found = form(node, values, dims, opsetOf(graph, ""));
  if (typeof found === "string") return found;
  const lengths = (name: string) => inferred.types.get(name)?.shape ?? null;
  const [x, y] = [lengths(node.inputs[0]!), lengths(node.outputs[0]!)];
  const fixed = [x, y].every((s) => s?.every((d) => typeof d === "number"));
  if (!fixed) return "the lengths of its input are not known";
  const { rows: outputs, cols } = found.weight;
  const bias = biasOf(graph, node, outputs);
  if (typeof bias === "string") return bias;
  const positions = (s: readonly number[]) => (found.kernel.length ? s.slice(2) : s.slice(0, -1));
  return {
    ...found,
    name,
    node,
    tensor: node.inputs[1]!,
    dims,
    bias,
    inputs: cols / sizeOf(found.kernel),
    outputs,
    from: positions(x as number[]),
    to: positions(y as number[]),
  };
}

/** The constant added to every output channel, input 2; null: none. */
function biasOf(graph: Graph, node: Node, outputs: number): Float64Array | null | string {
  const name = node.inputs[2];
  if (!name) return null;
  const tensor = graph.initializers.get(name);
  if (tensor?.type !== "float32") return "its bias is computed while running";
  const values = float32sOf(tensor);
  if (values.length === outputs && tensor.dims.at(-1) === outputs) return Float64Array.from(values);
  if (values.length === 1) return new Float64Array(outputs).fill(values[0]!);
  return `its bias is [${tensor.dims}], not one value for each of ${outputs} outputs`;
}

/** Multiply-accumulates of one run. */
export const layerMacs = (l: LinearLayer): number => l.weight.data.length * sizeOf(l.to);
