/** Models that are made of the real ones: SqueezeNet in float32, and ResNet-20 with channels of very unequal size that computes the same. */
import { float16Value } from "../../packages/pare/dist/graph/float16.js";
import { draft, type Graph, type Node, type Tensor, type ValueType } from "../../packages/pare/dist/graph/graph.js";
import { float32sOf, floats } from "../../packages/pare/dist/graph/tensor.js";
import { numbers } from "./sources/samples.js";

/** Every float16 weight, input and output as float32. */
export function inFloat32(graph: Graph): Graph {
  const tensor = (t: Tensor): Tensor => {
    if (t.type !== "float16") return t;
    const view = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
    return floats(
      Float32Array.from({ length: t.bytes.length / 2 }, (_, i) => float16Value(view.getUint16(2 * i, true))),
      t.dims,
    );
  };
  const value = <V extends ValueType>(v: V): V => (v.type === "float16" ? { ...v, type: "float32" } : v);
  const out = draft(graph);
  out.inputs = out.inputs.filter((v) => !graph.initializers.has(v.name)).map(value);
  out.outputs = out.outputs.map(value);
  out.values = new Map([...out.values].map(([name, v]) => [name, value(v)]));
  out.initializers = new Map([...out.initializers].map(([name, t]) => [name, tensor(t)]));
  return out;
}

/**
 * A third of the channels, drawn with `seed`, of every Conv that only a Relu and one more Conv follow, times s, log-uniform in 1/64..64; the
 * next Conv's weights over s. Wants BatchNormalization folded. Throws where the graph has no such pair.
 */
export function imbalanced(graph: Graph, seed: number): Graph {
  const draw = numbers(seed);
  const out = draft(graph);
  const readers = (value: string): Node[] => graph.nodes.filter((n) => n.inputs.includes(value));
  const onlyReader = (node: Node): Node | null => {
    const [output] = node.outputs;
    const next = readers(output!);
    return next.length === 1 && !graph.outputs.some((v) => v.name === output) ? next[0]! : null;
  };
  const scale = (name: string, factor: (index: number) => number): void => {
    const t = out.initializers.get(name)!;
    out.initializers.set(
      name,
      floats(
        float32sOf(t).map((v, i) => v * factor(i)),
        t.dims,
      ),
    );
  };
  let pairs = 0;
  for (const first of graph.nodes) {
    const relu = first.op === "Conv" ? onlyReader(first) : null;
    const second = relu?.op === "Relu" ? onlyReader(relu) : null;
    if (second?.op !== "Conv") continue;
    const [channels, ...rest] = graph.initializers.get(first.inputs[1]!)!.dims;
    const per = rest.reduce((a, b) => a * b);
    const factors = Array.from({ length: channels! }, () => (draw() < 1 / 3 ? 64 ** (2 * draw() - 1) : 1));
    const [, inputs, ...size] = graph.initializers.get(second.inputs[1]!)!.dims;
    const inner = size.reduce((a, b) => a * b);
    if (inputs !== channels) throw new Error(`"${second.name}" does not read all of "${first.name}"`);
    scale(first.inputs[1]!, (i) => factors[Math.floor(i / per)]!);
    if (first.inputs[2]) scale(first.inputs[2], (i) => factors[i]!);
    scale(second.inputs[1]!, (i) => 1 / factors[Math.floor(i / inner) % inputs!]!);
    pairs++;
  }
  if (pairs === 0) throw new Error("no Conv, Relu, Conv in the graph: is BatchNormalization folded?");
  return out;
}
