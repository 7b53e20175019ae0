/** What onnxruntime's CPU kernels do on 8-bit integers, operator by operator: the one table of it. */
import type { Node } from "../graph/graph.js";

/**
 * product: integers times integers. arithmetic: its own kernel from codes to codes, each on a grid of its own. passes: moves codes, so that
 * input and output share one grid. absorbed: bounds the range of the value before it and costs nothing.
 */
export type IntegerRole = "product" | "arithmetic" | "passes" | "absorbed";

export interface IntegerSupport {
  readonly role: IntegerRole;
  /** Inputs that lie on grids; "all" for lists of any length. The others are shapes, indices and conditions. */
  readonly data: readonly number[] | "all";
  /** Input that becomes int32 on the product of the scales. */
  readonly bias?: number;
  /** The kernel gives float where its output need not be quantized: no rounding where none is wanted. */
  readonly floatOutput?: boolean;
  /** Zero points of weights must be said even where they are zero, or the kernel stays away. */
  readonly saysZero?: boolean;
}

const arithmetic = (data: IntegerSupport["data"] = [0]): IntegerSupport => ({ role: "arithmetic", data });
const passes: IntegerSupport = { role: "passes", data: [0] };
const absorbed: IntegerSupport = { role: "absorbed", data: [0] };

/** Found by running each pattern in onnxruntime 1.30 and reading its profile; operators that are absent have no integer kernel. */
const table: Readonly<Record<string, IntegerSupport>> = {
  Conv: { role: "product", data: [0, 1], bias: 2 },
  Gemm: { role: "product", data: [0, 1], bias: 2, floatOutput: true, saysZero: true },
  MatMul: { role: "product", data: [0, 1], floatOutput: true },
  Add: arithmetic([0, 1]),
  Mul: arithmetic([0, 1]),
  Concat: arithmetic("all"),
  Where: arithmetic([1, 2]),
  AveragePool: arithmetic(),
  GlobalAveragePool: arithmetic(),
  LeakyRelu: arithmetic(),
  Sigmoid: arithmetic(),
  Softmax: arithmetic(),
  MaxPool: passes,
  Reshape: passes,
  Transpose: passes,
  Flatten: passes,
  Squeeze: passes,
  Unsqueeze: passes,
  Resize: passes,
  Slice: passes,
  Expand: passes,
  Tile: passes,
  Split: passes,
  DepthToSpace: passes,
  Gather: passes,
  GatherElements: passes,
  ReduceMax: passes,
  Identity: passes,
  Relu: absorbed,
  Clip: absorbed,
};

/** null where onnxruntime has no integer kernel for the node. */
export function integerSupport(node: Node): IntegerSupport | null {
  if (node.domain !== "") return null;
  const found = table[node.op] ?? null;
  // Interpolation computes new values, for which there is no integer kernel.
  const mode = node.attributes.mode;
  if (node.op === "Resize" && mode?.kind === "string" && mode.value !== "nearest") return null;
  return found;
}

/** Indices of the node's inputs that lie on grids. */
export const dataInputs = (node: Node, support: IntegerSupport): number[] =>
  (support.data === "all" ? node.inputs.map((_, i) => i) : support.data).filter((i) => node.inputs[i]);
