/** What a layer should give: a network under repair, its dense original and a layer enter; nodes that compute the layer's target leave. */
import { constantsOf } from "../analyze/couple.js";
import { infer } from "../analyze/infer.js";
import type { Layer } from "../analyze/layers.js";
import type { Emitter } from "../graph/emit.js";
import type { Graph, Node } from "../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../graph/tensor.js";
import { Attributes } from "../ops/site.js";

/** Where a layer's output goes before anything bends it: a normalisation, a residual sum. */
export interface Chain {
  readonly layer: Layer;
  readonly norm: Node | null;
  readonly sum: Node | null;
  /** The sum's other term. */
  readonly other: string | null;
}

export function chainOf(graph: Graph, layer: Layer): Chain {
  const readers = (name: string): Node[] => graph.nodes.filter((n) => n.inputs.includes(name));
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const only = (name: string, op: string): Node | null => {
    const all = readers(name);
    return all.length === 1 && !outputs.has(name) && all[0]!.op === op && all[0]!.domain === "" ? all[0]! : null;
  };
  let value = layer.node.outputs[0]!;
  const norm = only(value, "BatchNormalization");
  if (norm?.inputs.slice(1).every((name) => graph.initializers.has(name))) value = norm.outputs[0]!;
  const sum = only(value, "Add");
  const other = sum?.inputs.find((name) => name !== value) ?? null;
  const { types } = infer(graph);
  const shape = (name: string) => types.get(name)?.shape?.join() ?? null;
  const fits =
    other !== null &&
    !constantsOf(graph).has(other) &&
    shape(other) === shape(value) &&
    !dependsOn(graph, other, layer.node);
  return {
    layer,
    norm: value === layer.node.outputs[0] ? null : norm,
    sum: fits ? sum : null,
    other: fits ? other : null,
  };
}
function dependsOn(graph: Graph, name: string, node: Node): boolean {
  const reached = new Set(node.outputs);
  for (const n of graph.nodes) if (n.inputs.some((i) => reached.has(i))) for (const o of n.outputs) reached.add(o);
  return reached.has(name);
}

/** Scale and shift per channel that a BatchNormalization is in inference. */
function affineOf(graph: Graph, norm: Node): { scale: Float32Array; shift: Float32Array } {
  const [gamma, beta, mean, variance] = norm.inputs.slice(1).map((n) => float32sOf(graph.initializers.get(n)!));
  const epsilon = new Attributes(norm, 15).float("epsilon", 1e-5);
  const scale = gamma!.map((v, c) => v / Math.sqrt(variance![c]! + epsilon));
  return { scale, shift: beta!.map((v, c) => v - mean![c]! * scale[c]!) };
}

/** Which indices of an axis of a value of the dense graph are left; null: all. */
export type Survivors = (value: string, axis: number) => readonly boolean[] | null;

/**
 * Emits what the layer itself should give: the dense value behind it, less the sum's other term as it is now, taken back through the normalisation.
 * `nameOf` says what a dense value is called.
 */
export function emitTarget(
  g: Emitter,
  graph: Graph,
  { layer, norm, sum, other }: Chain,
  nameOf: (n: string) => string,
  survivors: Survivors,
): string {
  const behind = (sum ?? norm ?? layer.node).outputs[0]!;
  const axis = layer.channelAxis!;
  let value = nameOf(behind);
  const alive = survivors(behind, axis);
  if (alive) value = g.op("Gather", [value, g.ints([...alive.keys()].filter((i) => alive[i]))], { axis });
  if (sum) value = g.op("Sub", [value, other!]);
  const dims = (v: Float32Array) => g.constant(floats(v, [v.length, ...Array<number>(layer.dims.length - 2).fill(1)]));
  if (norm) {
    const { scale, shift } = affineOf(graph, norm);
    // A channel that the normalisation wipes out may be anything.
    const inverse = scale.map((s) => (Math.abs(s) > 1e-6 ? 1 / s : 0));
    value = g.op("Mul", [g.op("Sub", [value, dims(shift)]), dims(inverse)]);
  }
  return value;
}
/** The layer's own bias per channel; null where it has none. */
export function biasOf(graph: Graph, { node, dims, kept }: Layer): string | null {
  const name = node.inputs[2] ?? "";
  const bias = graph.initializers.get(name);
  const channels = sizeOf(dims.filter((_, d) => kept[d]));
  return bias?.type === "float32" && sizeOf(bias.dims) === channels ? name : null;
}
