/** The obvious realisation of every composite node, to test lowerings against: a graph comes in, the same in plain ONNX goes out. Slow. */
import { Emitter } from "../dist/graph/emit.js";
import { type Draft, draft, type Graph, type Node } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";

const ints = (n: Node, name: string): number[] => {
  const a = n.attributes[name];
  return a?.kind === "ints" ? a.value.map(Number) : [];
};

export function lowerObvious(graph: Graph): Draft {
  const out = draft(graph);
  const g = new Emitter(out, "float32", "obvious/");
  out.nodes = [];
  for (const node of graph.nodes) {
    if (node.domain !== "pare") g.push(node);
    else {
      const made = realise(g, node);
      node.outputs.forEach((name, i) => {
        g.push({ op: "Identity", domain: "", name, inputs: [made[i]!], outputs: [name], attributes: {} });
      });
    }
  }
  return out;
}

function realise(g: Emitter, node: Node): string[] {
  const [a, b, c, mean, variance] = node.inputs as [string, string, string, string, string];
  const positive = (t: string) => g.cast(g.op("Greater", [t, g.scalar(0)]), "float32");
  const column = (v: string) => g.op("Unsqueeze", [v, g.ints([1, 2])]);
  const epsilon = node.attributes.epsilon?.kind === "float" ? node.attributes.epsilon.value : 1e-5;
  switch (node.op) {
    case "ReluGrad":
      return [g.op("Mul", [a, positive(b)])];
    case "ConvInputGrad":
      return [inputGrad(g, node)];
    case "ConvWeightGrad":
      return [weightGrad(g, node)];
    case "MaxPoolGrad":
      return [maxPoolGrad(g, node)];
    case "BatchNormTraining": {
      const m = g.op("ReduceMean", [a, g.ints([0, 2, 3])], { keepdims: 0 });
      const centred = g.op("Sub", [a, column(m)]);
      const v = g.op("ReduceMean", [g.op("Mul", [centred, centred]), g.ints([0, 2, 3])], { keepdims: 0 });
      const std = g.op("Sqrt", [g.op("Add", [v, g.scalar(epsilon)])]);
      return [g.op("Add", [g.op("Mul", [g.op("Div", [centred, column(std)]), column(b)]), column(c)]), m, v];
    }
    case "BatchNormTrainingGrad": {
      const std = g.op("Sqrt", [g.op("Add", [variance, g.scalar(epsilon)])]);
      const normal = g.op("Div", [g.op("Sub", [b, column(mean)]), column(std)]);
      const average = (t: string) => g.op("ReduceMean", [t, g.ints([0, 2, 3])], { keepdims: 0 });
      const product = g.op("Mul", [a, normal]);
      const inner = g.op("Sub", [
        g.op("Sub", [a, column(average(a))]),
        g.op("Mul", [normal, column(average(product))]),
      ]);
      const dx = g.op("Mul", [inner, column(g.op("Div", [c, std]))]);
      return [dx, g.reduceSum(product, [0, 2, 3]), g.reduceSum(a, [0, 2, 3])];
    }
    default:
      throw new Error(node.op);
  }
}

/** ConvTranspose, its output padded or cut to the input's size. */
function inputGrad(g: Emitter, node: Node): string {
  const [dy, w] = node.inputs as [string, string];
  const { kernel_shape: _k, input_shape: _i, ...rest } = node.attributes;
  const [, , h, wide] = ints(node, "input_shape") as [number, number, number, number];
  const [top, left] = ints(node, "pads") as [number, number];
  // All of the padded input, with room to spare at the end; then the part that is the input.
  const full = g.op("ConvTranspose", [dy, w], { ...rest, pads: [0, 0, 0, 0] });
  const padded = g.op("Pad", [full, g.ints([0, 0, 0, 0, 0, 0, h + top, wide + left])]);
  return g.op("Slice", [padded, g.ints([top, left]), g.ints([top + h, left + wide]), g.ints([2, 3])]);
}

/** Per group: Conv over the batch, x as [c,n,h,w], dy as the kernel [o,n,ho,wo] with strides and dilations exchanged. */
function weightGrad(g: Emitter, node: Node): string {
  const [x, dy] = node.inputs as [string, string];
  const [o, c, kh, kw] = ints(node, "weight_shape") as [number, number, number, number];
  const group = Number(node.attributes.group?.kind === "int" ? node.attributes.group.value : 1);
  const part = (t: string, i: number, size: number) =>
    g.op("Slice", [t, g.ints([i * size]), g.ints([(i + 1) * size]), g.ints([1])]);
  const parts = Array.from({ length: group }, (_, i) => {
    const image = g.transpose(part(x, i, c), [1, 0, 2, 3]);
    const kernel = g.transpose(part(dy, i, o / group), [1, 0, 2, 3]);
    const attributes = { dilations: ints(node, "strides"), strides: ints(node, "dilations"), pads: ints(node, "pads") };
    const whole = g.transpose(g.op("Conv", [image, kernel], attributes), [1, 0, 2, 3]);
    return g.op("Slice", [whole, g.ints([0, 0]), g.ints([kh, kw]), g.ints([2, 3])]);
  });
  return parts.length > 1 ? g.op("Concat", parts, { axis: 0 }) : parts[0]!;
}

/** Windows without overlap and padding: the gradient is shared among the maxima. Rows and columns that no window reaches get none. */
function maxPoolGrad(g: Emitter, node: Node): string {
  const [dy, x, y] = node.inputs as [string, string, string];
  const [kh, kw] = ints(node, "kernel_shape") as [number, number];
  const scales = g.constant(floats([1, 1, kh, kw], [4]));
  const attributes = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
  const up = (t: string) => g.op("Resize", [t, "", scales], attributes);
  const size = g.op("Shape", [up(y)]);
  const reached = g.op("Slice", [x, g.ints([0, 0, 0, 0]), size]);
  const is = g.cast(g.op("Equal", [reached, up(y)]), "float32");
  const pool = { kernel_shape: [kh, kw], strides: [kh, kw] };
  const count = g.op("Mul", [g.op("AveragePool", [is], pool), g.scalar(kh * kw)]);
  const dx = g.op("Mul", [is, up(g.op("Div", [dy, count]))]);
  const rest = g.op("Sub", [g.op("Shape", [x]), size]);
  return g.op("Pad", [dx, g.op("Concat", [g.ints([0, 0, 0, 0]), rest], { axis: 0 })]);
}
