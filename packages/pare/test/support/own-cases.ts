/** Forms of operators that the ONNX project's tests leave out: old opsets, odd windows, groups, withdrawn operators. */
import { type AttributeValue, node } from "../../dist/graph/emit.js";
import type { Tensor } from "../../dist/graph/graph.js";
import { floats, int64s, sizeOf } from "../../dist/graph/tensor.js";
import { recordOf } from "../../dist/ops/registry.js";
import { randomSource } from "./gradient-check.js";
import { ownStructureCases } from "./own-structure-cases.js";

type Attributes = Readonly<Record<string, AttributeValue>>;
type Input = readonly number[] | Tensor | null;
const f = (float: number) => ({ float });
const ints = (...values: number[]): Tensor => int64s(values);
const bool = (dims: readonly number[]): Tensor => ({
  type: "bool",
  dims,
  bytes: Uint8Array.from({ length: sizeOf(dims) }, (_, i) => ((i * 7) % 3) & 1),
});
const positive = (dims: readonly number[]): Tensor => random(dims, (v) => Math.abs(v) + 0.3);
function random(dims: readonly number[], shape: (v: number) => number = (v) => v): Tensor {
  const next = randomSource(sizeOf(dims) * 31 + dims.length);
  return floats(
    Float32Array.from({ length: sizeOf(dims) }, () => shape(next() * 1.5)),
    dims,
  );
}

/** Operator, opset, attributes, inputs: dims of random floats, or constants. */
export const ownCases: readonly [string, number, Attributes, readonly Input[]][] = [
  ["Celu", 12, { alpha: f(1.5) }, [[3, 5]]],
  ["Selu", 6, { alpha: f(1.2) }, [[3, 5]]],
  ["HardSigmoid", 6, { alpha: f(0.4) }, [[3, 5]]],
  ["Swish", 24, { alpha: f(1.3) }, [[3, 5]]],
  ["Gelu", 20, { approximate: "tanh" }, [[3, 5]]],
  ["Clip", 6, { min: f(-0.5), max: f(0.7) }, [[3, 5]]],
  ["Clip", 6, { max: f(0.7) }, [[3, 5]]],
  ["Clip", 11, {}, [[3, 5], floats([-0.5], []), floats([0.4], [])]],
  ["Clip", 13, {}, [[3, 5], null, floats([0.4], [])]],
  [
    "PRelu",
    7,
    {},
    [
      [2, 3, 4, 4],
      [3, 1, 1],
    ],
  ],
  ["PRelu", 9, {}, [[2, 3, 4], [1]]],
  [
    "Add",
    7,
    {},
    [
      [2, 3, 4],
      [3, 1],
    ],
  ],
  ["Sub", 13, {}, [[4], [2, 1, 4]]],
  ["Mul", 7, {}, [[2, 3, 4], []]],
  ["Div", 14, {}, [[2, 1, 4], positive([3, 1])]],
  ["Pow", 12, {}, [positive([2, 3]), floats([3], [])]],
  ["Pow", 12, {}, [positive([2, 3]), [3]]],
  ["Pow", 15, {}, [[2, 3], ints(2)]],
  ["Pow", 7, {}, [positive([2, 3]), floats([2], [])]],
  ["Max", 8, {}, [[2, 3], [3], [2, 1]]],
  ["Min", 13, {}, [[2, 3]]],
  ["Sum", 8, {}, [[2, 3], [3], [2, 1]]],
  ["Mean", 13, {}, [[2, 3], [3], [2, 1]]],
  ["Mod", 13, { fmod: 1 }, [positive([2, 3]), positive([3])]],
  ["Where", 16, {}, [bool([2, 1, 4]), [3, 1], [2, 3, 4]]],
  [
    "Gemm",
    7,
    { transA: 1, alpha: f(0.7), beta: f(1.3) },
    [
      [4, 3],
      [4, 5],
      [3, 1],
    ],
  ],
  ["Gemm", 9, { transB: 1 }, [[3, 4], [5, 4], [5]]],
  [
    "Gemm",
    11,
    { transA: 1, transB: 1 },
    [
      [4, 3],
      [5, 4],
    ],
  ],
  ["Gemm", 13, {}, [[3, 4], [4, 5], []]],
  [
    "MatMul",
    9,
    {},
    [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
  ],
  ["MatMul", 13, {}, [[4], [4]]],
  ["MatMul", 13, {}, [[2, 3, 4], [4]]],
  [
    "MatMul",
    13,
    {},
    [
      [6, 3, 4],
      [4, 5],
    ],
  ],
  [
    "Einsum",
    12,
    { equation: "bij,bjk->bik" },
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
  ],
  [
    "Einsum",
    12,
    { equation: "...ij,jk" },
    [
      [2, 3, 4],
      [4, 5],
    ],
  ],
  ["Einsum", 12, { equation: "iij->ji" }, [[3, 3, 2]]],
  ["Einsum", 12, { equation: "ij->i" }, [[3, 4]]],
  ["Einsum", 12, { equation: "i,j,k->kij" }, [[2], [3], [4]]],
  ["Conv", 1, { kernel_shape: [3, 3] }, [[2, 4, 7, 6], [6, 4, 3, 3], [6]]],
  [
    "Conv",
    7,
    { group: 2, strides: [2, 1], pads: [1, 0, 2, 1], dilations: [1, 2] },
    [
      [2, 4, 7, 6],
      [6, 2, 3, 3],
    ],
  ],
  [
    "Conv",
    11,
    { auto_pad: "SAME_LOWER", strides: [2, 2] },
    [
      [1, 2, 7, 6],
      [4, 2, 2, 3],
    ],
  ],
  ["Conv", 11, { auto_pad: "SAME_UPPER" }, [[1, 2, 7], [4, 2, 4], [4]]],
  [
    "Conv",
    11,
    { auto_pad: "VALID", group: 4 },
    [
      [1, 4, 5, 5],
      [4, 1, 3, 3],
    ],
  ],
  [
    "Conv",
    22,
    { pads: [1, 1, 1, 1, 1, 1] },
    [
      [1, 2, 3, 4, 3],
      [2, 2, 3, 3, 3],
    ],
  ],
  [
    "ConvTranspose",
    1,
    {},
    [
      [1, 3, 4, 5],
      [3, 2, 3, 3],
    ],
  ],
  ["ConvTranspose", 11, { strides: [2, 3], output_padding: [1, 2], group: 2 }, [[1, 4, 3, 4], [4, 3, 3, 3], [6]]],
  [
    "ConvTranspose",
    11,
    { strides: [2, 2], pads: [1, 0, 0, 1], dilations: [2, 1] },
    [
      [2, 2, 4, 3],
      [2, 2, 3, 2],
    ],
  ],
  [
    "ConvTranspose",
    11,
    { auto_pad: "SAME_UPPER", strides: [2, 2] },
    [
      [1, 2, 3, 4],
      [2, 2, 3, 3],
    ],
  ],
  [
    "ConvTranspose",
    11,
    { output_shape: [9, 8], strides: [2, 2] },
    [
      [1, 2, 4, 4],
      [2, 2, 3, 3],
    ],
  ],
  ["MaxPool", 8, { kernel_shape: [2, 2], strides: [2, 2] }, [[2, 3, 6, 7]]],
  ["MaxPool", 10, { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], ceil_mode: 1 }, [[1, 2, 6, 7]]],
  ["MaxPool", 12, { kernel_shape: [3, 3], dilations: [2, 1], auto_pad: "SAME_LOWER" }, [[1, 2, 6, 7]]],
  ["MaxPool", 11, { kernel_shape: [3], strides: [2], ceil_mode: 1 }, [[2, 2, 8]]],
  ["AveragePool", 19, { kernel_shape: [3, 3], dilations: [2, 2], auto_pad: "SAME_UPPER" }, [[1, 2, 6, 7]]],
  ["LpPool", 18, { kernel_shape: [2, 3], dilations: [2, 1], auto_pad: "SAME_UPPER" }, [[1, 2, 6, 7]]],
  ["AveragePool", 7, { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }, [[2, 3, 6, 7]]],
  [
    "AveragePool",
    10,
    { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1, count_include_pad: 1, pads: [1, 1, 1, 1] },
    [[1, 2, 6, 7]],
  ],
  ["AveragePool", 11, { kernel_shape: [2, 2], strides: [2, 2] }, [[1, 2, 6, 7]]],
  ["AveragePool", 11, { kernel_shape: [3, 3], auto_pad: "SAME_UPPER", strides: [2, 2] }, [[1, 2, 6, 7]]],
  ["LpPool", 11, { kernel_shape: [3, 2], p: 3, pads: [1, 0, 1, 0] }, [[1, 2, 6, 5]]],
  ["LpPool", 18, { kernel_shape: [2, 2], p: 1, strides: [2, 2] }, [[1, 2, 6, 5]]],
  ["GlobalAveragePool", 1, {}, [[2, 3, 5]]],
  ["GlobalMaxPool", 1, {}, [[2, 3, 4, 5]]],
  ["GlobalLpPool", 2, { p: 2 }, [[2, 3, 4, 5]]],
  ["GlobalLpPool", 2, { p: 3 }, [[2, 3, 4]]],
  ["BatchNormalization", 7, {}, [[2, 3, 4, 2], [3], [3], [3], positive([3])]],
  ["BatchNormalization", 7, { spatial: 0 }, [[2, 3, 2], [3, 2], [3, 2], [3, 2], positive([3, 2])]],
  ["BatchNormalization", 9, { epsilon: f(0.01) }, [[5, 3], [3], [3], [3], positive([3])]],
  ["BatchNormalization", 15, {}, [[2, 3, 4], [3], [3], [3], positive([3])]],
  ["InstanceNormalization", 6, {}, [[2, 3, 7], [3], [3]]],
  [
    "LayerNormalization",
    17,
    { axis: -2 },
    [
      [2, 3, 4, 5],
      [4, 5],
    ],
  ],
  [
    "LayerNormalization",
    17,
    { axis: 1, epsilon: f(0.1) },
    [
      [2, 3, 4],
      [3, 4],
      [3, 4],
    ],
  ],
  ["GroupNormalization", 21, { num_groups: 2 }, [[2, 6, 3], [6], [6]]],
  ["RMSNormalization", 23, { axis: -1 }, [[2, 3, 4], [4]]],
  ["LRN", 1, { size: 3, alpha: f(0.5), beta: f(0.6), bias: f(1.5) }, [[2, 6, 3, 2]]],
  ["LpNormalization", 1, { axis: 1, p: 1 }, [[2, 3, 4]]],
  ["LpNormalization", 1, {}, [[2, 3, 4]]],
  ["MeanVarianceNormalization", 9, {}, [[2, 3, 4, 5]]],
  ["MeanVarianceNormalization", 13, { axes: [0, 2] }, [[2, 3, 4]]],
  ["Softmax", 7, {}, [[2, 3, 4]]],
  ["Softmax", 11, { axis: 2 }, [[2, 3, 4]]],
  ["LogSoftmax", 1, { axis: 0 }, [[2, 3]]],
  ["LogSoftmax", 13, { axis: 1 }, [[2, 3, 4]]],
  ["Dropout", 7, { ratio: f(0.3) }, [[2, 3]]],
  ["Dropout", 10, {}, [[2, 3]]],
  ["Dropout", 12, {}, [[2, 3], floats([0.3], [])]],
  ["ReduceSum", 11, { axes: [-1, 0], keepdims: 0 }, [[2, 3, 4]]],
  ["ReduceSum", 13, { noop_with_empty_axes: 1 }, [[2, 3, 4]]],
  ["ReduceSum", 13, { noop_with_empty_axes: 1, keepdims: 0 }, [[2, 3], ints()]],
  ["ReduceMean", 1, { axes: [1] }, [[2, 3, 4]]],
  ["ReduceMax", 11, { axes: [1], keepdims: 0 }, [[2, 3, 4]]],
  ["ReduceProd", 13, {}, [[2, 3]]],
  ["ReduceProd", 13, { axes: [1] }, [floats([1.5, 0, 2, 0.5, 0, 0], [2, 3])]],
  ["ReduceL2", 18, { keepdims: 0 }, [[2, 3, 4], ints(1)]],
  ["ReduceL2", 13, { axes: [-1] }, [[3, 2]]],
  ["ReduceLogSumExp", 13, { axes: [0, 2] }, [[2, 3, 4]]],
  ["Trilu", 14, { upper: 0 }, [[3, 4], int64s([1], [])]],
  ["Trilu", 14, {}, [[2, 3, 3]]],
  ["CumSum", 14, { exclusive: 1, reverse: 1 }, [[2, 3, 4], int64s([-2], [])]],
  ["Affine", 7, { alpha: f(1.5), beta: f(-0.5) }, [[2, 3]]],
  ["ScaledTanh", 7, { alpha: f(1.5), beta: f(0.7) }, [[2, 3]]],
  ["ParametricSoftplus", 7, { alpha: f(1.5), beta: f(0.7) }, [[2, 3]]],
  ["ImageScaler", 7, { scale: f(1.5), bias: { floats: [0.1, -0.2, 0.3] } }, [[2, 3, 4, 4]]],
  ["Crop", 7, { border: [1, 2, 0, 1] }, [[2, 3, 8, 6]]],
  ["Crop", 7, { border: [1, 2, 0, 0], scale: [4, 3] }, [[2, 3, 8, 6]]],
  ...ownStructureCases,
];

/** A case in place, with its random inputs made. */
export const ownPlace = (type: string, opset: number, attributes: Attributes, inputs: readonly Input[]) => {
  const it = node(
    type,
    inputs.map((x, i) => (x ? `x${i}` : "")),
    ["y0"],
    attributes,
    "",
    "it",
  );
  const record = recordOf(it);
  if (!record) throw new Error(`no record of ${type}`);
  const tensors = inputs.map((x) => (x === null || "dims" in x ? x : random(x)));
  return { node: it, record, opset, inputs: tensors };
};
export type Own = ReturnType<typeof ownPlace>;

/** How a test of a case is called. */
export function ownTitle(p: Own): string {
  const entries = Object.entries(p.node.attributes).map(([k, a]) => `${k}=${"value" in a ? String(a.value) : a.kind}`);
  const inputs = p.inputs.map((t) => (t ? `[${t.dims}]` : "-"));
  return [`${p.node.op}-${p.opset}`, ...entries, ...inputs].join(" ");
}
