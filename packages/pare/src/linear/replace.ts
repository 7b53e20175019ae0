/** A layer and smaller layers that together do its work enter; the graph with these in its place leaves. */
import { Emitter, node } from "../graph/emit.js";
import { type Attribute, draft, type Graph, type Node } from "../graph/graph.js";
import { floats, sizeOf } from "../graph/tensor.js";
import { dropDeadNodes } from "../passes/drop-dead-nodes.js";
import type { LinearLayer } from "./layers.js";

/** One of the layers that stand for another, in the order in which they run. */
export interface Stage {
  readonly inputs: number;
  readonly outputs: number;
  /** 1, or `inputs`: a depthwise convolution. */
  readonly group: number;
  /** Spatial axes of the layer over which this stage slides; its kernel is 1 along the others. Each axis belongs to one stage. */
  readonly slides: readonly number[];
}
/** A stage and its weight [outputs, inputs / group, k...], k the kernel's lengths over the axes that it slides over. */
export interface FilledStage extends Stage {
  readonly weight: Float64Array;
}
export interface Replacement {
  readonly stages: readonly FilledStage[];
  /** [o]; null: none. */
  readonly bias: Float64Array | null;
}

const kernelOf = (layer: LinearLayer, s: Stage): number[] => layer.kernel.map((k, d) => (s.slides.includes(d) ? k : 1));

/** Elements of a stage's weight. */
export const stageSize = (layer: LinearLayer, s: Stage): number =>
  (s.outputs * s.inputs * sizeOf(kernelOf(layer, s))) / s.group;

/** Multiply-accumulates of one run of all stages: an axis has its output length from the stage on that slides over it. */
export function stagesMacs(layer: LinearLayer, stages: readonly Stage[]): number {
  const lengths = layer.kernel.length ? [...layer.from] : [...layer.to];
  return stages.reduce((sum, s) => {
    for (const d of s.slides) lengths[d] = layer.to[d]!;
    return sum + stageSize(layer, s) * sizeOf(lengths);
  }, 0);
}

/** The window attributes of a stage: along axes it does not slide over nothing moves. */
function windowOf(layer: LinearLayer, s: Stage): Record<string, Attribute> {
  const rank = layer.kernel.length;
  const list = (idle: number, values: readonly (number | bigint)[]): Attribute => ({
    kind: "ints",
    value: values.map((v, i) => (s.slides.includes(i % rank) ? v : idle)),
  });
  const out: Record<string, Attribute> = { kernel_shape: { kind: "ints", value: kernelOf(layer, s) } };
  for (const [name, a] of Object.entries(layer.window)) {
    if (a.kind === "ints" && a.value.length > 0) out[name] = list(name === "pads" ? 0 : 1, a.value);
    else if (a.kind !== "ints") out[name] = a;
  }
  if (s.group !== 1) out.group = { kind: "int", value: s.group };
  return out;
}

/** The graph with the layer's node replaced. The last stage keeps the node's output name; initialisers that nobody reads any more go. */
export function replaceLayer(graph: Graph, layer: LinearLayer, { stages, bias }: Replacement): Graph {
  const place = graph.nodes.findIndex((n) => n.outputs[0] === layer.node.outputs[0]);
  const d = draft(graph);
  const rest = d.nodes.splice(place);
  const g = new Emitter(d);
  let x = layer.node.inputs[0]!;
  stages.forEach((s, i) => {
    const last = i === stages.length - 1;
    const y = last ? layer.node.outputs[0]! : g.fresh(`${layer.name}_${i}`);
    g.push(stageNode(g, layer, s, x, y, last ? bias : null, last ? layer.name : y));
    x = y;
  });
  d.nodes.push(...rest.slice(1));
  return dropDeadNodes(d);
}

function stageNode(
  g: Emitter,
  layer: LinearLayer,
  s: FilledStage,
  x: string,
  y: string,
  bias: Float64Array | null,
  name: string,
): Node {
  const hint = `${layer.tensor}_${s.inputs}x${s.outputs}`;
  const convolves = layer.kernel.length > 0;
  const dims = convolves ? [s.outputs, s.inputs / s.group, ...kernelOf(layer, s)] : [s.inputs, s.outputs];
  const values = convolves ? Float32Array.from(s.weight) : transposed(s.weight, s.outputs, s.inputs);
  const w = initializer(g, hint, values, dims);
  const b = bias ? [initializer(g, `${layer.tensor}_bias`, Float32Array.from(bias), [s.outputs])] : [];
  if (convolves) return node("Conv", [x, w, ...b], [y], windowOf(layer, s), "", name);
  return node(b.length ? "Gemm" : "MatMul", [x, w, ...b], [y], {}, "", name);
}

function initializer(g: Emitter, hint: string, values: Float32Array, dims: readonly number[]): string {
  const name = g.fresh(hint);
  g.graph.initializers.set(name, floats(values, dims));
  return name;
}
const transposed = (w: Float64Array, rows: number, cols: number): Float32Array =>
  Float32Array.from(w, (_, i) => w[(i % rows) * cols + Math.floor(i / rows)]!);
