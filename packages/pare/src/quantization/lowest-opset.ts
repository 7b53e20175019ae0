/** Graph at opset 21 or below -> the lowest opset, 13 at least, at which every node of it means the same: older runtimes load it then. */
import type { Node, Subgraph } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";

const has = (n: Node, name: string): boolean => Object.hasOwn(n.attributes, name);
const reads = (n: Node, i: number): boolean => Boolean(n.inputs[i]);
const flag = (n: Node, name: string): boolean =>
  n.attributes[name]?.kind === "int" && Number(n.attributes[name].value) !== 0;

const plain = (): number => 13;
const from14 = (): number => 14;
/** Axes became an input at opset 18. */
const reduction = (n: Node): number => (reads(n, 1) || has(n, "noop_with_empty_axes") ? 18 : 13);
const recurrent = (n: Node): number => (flag(n, "layout") ? 14 : 13);

/** The opset since which a node in its newest form has its meaning. Types that later versions added are not used here. */
const since: Readonly<Record<string, (n: Node) => number>> = {
  ...Object.fromEntries(
    [
      ...[
        "Abs",
        "And",
        "ArgMax",
        "ArgMin",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "ConvInteger",
      ],
      ...[
        "ConvTranspose",
        "Cos",
        "DepthToSpace",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "Einsum",
        "Elu",
        "Equal",
        "Erf",
      ],
      ...["Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool"],
      ...["GlobalMaxPool", "Greater", "HardSigmoid", "Identity", "If", "InstanceNormalization", "LRN", "Less", "Log"],
      ...[
        "LogSoftmax",
        "Loop",
        "MatMul",
        "MatMulInteger",
        "Max",
        "MaxPool",
        "Mean",
        "Min",
        "Neg",
        "Not",
        "OneHot",
        "Or",
      ],
      ...[
        "QuantizeLinear",
        "Range",
        "Reciprocal",
        "ReduceSum",
        "Round",
        "Scan",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Size",
      ],
      ...[
        "Slice",
        "Softmax",
        "Softplus",
        "SpaceToDepth",
        "Sqrt",
        "Squeeze",
        "Sum",
        "Tanh",
        "Tile",
        "TopK",
        "Transpose",
      ],
      ...["Unsqueeze", "Xor"],
    ].map((op) => [op, plain]),
  ),
  ...Object.fromEntries(["Add", "Sub", "Mul", "Div", "Relu", "CumSum", "HardSwish", "Trilu"].map((op) => [op, from14])),
  ...Object.fromEntries(
    ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"].map((op) => [
      `Reduce${op}`,
      reduction,
    ]),
  ),
  ...Object.fromEntries(["LSTM", "GRU", "RNN"].map((op) => [op, recurrent])),
  AveragePool: (n) => (has(n, "dilations") ? 19 : 13),
  BatchNormalization: () => 15,
  Cast: (n) => (has(n, "saturate") ? 19 : 13),
  Gelu: () => 20,
  LayerNormalization: () => 17,
  LeakyRelu: () => 16,
  PRelu: () => 16,
  Pad: (n) => (reads(n, 3) ? 18 : 13),
  Pow: () => 15,
  Reshape: (n) => (flag(n, "allowzero") ? 14 : 13),
  Resize: (n) => (["antialias", "axes", "keep_aspect_ratio_policy"].some((name) => has(n, name)) ? 18 : 13),
  Shape: (n) => (has(n, "start") || has(n, "end") ? 15 : 13),
  Split: (n) => (has(n, "num_outputs") ? 18 : 13),
  Where: () => 16,
};

/** `present`: the opset that the graph is at, which it keeps where a node is not known. */
export function lowestOpset(graph: Subgraph, present: number): number {
  if (present > 21) return present;
  let lowest = 13;
  for (const n of graph.nodes) {
    if (n.domain === "") lowest = Math.max(lowest, since[n.op]?.(n) ?? present);
    for (const body of bodiesOf(n)) lowest = Math.max(lowest, lowestOpset(body, present));
  }
  return Math.min(lowest, present);
}
