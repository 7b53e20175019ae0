/** Repairs a pruned network without training: layer by layer, its weights are fitted so that it gives what the dense network gave. */

import { constantsOf } from "../analyze/couple.js";
import { type Layer, layersOf } from "../analyze/layers.js";
import type { Emitter } from "../graph/emit.js";
import { type Draft, draft, type Graph, type Node } from "../graph/graph.js";
import { float32sOf, floats } from "../graph/tensor.js";
import { placeIn } from "../importance/unroll.js";
import { Attributes, at } from "../ops/site.js";
import { beside } from "../passes/beside.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { cholesky, solveCholesky } from "./least-squares.js";
import type { Note } from "./method.js";
import { type Calibration, type Moments, momentsOf } from "./moments.js";

export interface Reconstruction extends Calibration {
  /** Which indices of an axis of a value of the dense graph are left; null: all. */
  readonly survivors: (value: string, axis: number) => readonly boolean[] | null;
  /** Weight of staying as it is, times the mean power of the layer's inputs. */
  readonly ridge: number;
  readonly log?: (line: string) => void;
}

/** Layers with more inputs than this stay as they are: solving for them takes too long. */
const mostInputs = 3000;

/** Where a layer's output goes before anything bends it: a normalisation, a residual sum. */
interface Chain {
  readonly layer: Layer;
  readonly norm: Node | null;
  readonly sum: Node | null;
  /** The sum's other term. */
  readonly other: string | null;
}

/**
 * Least squares on the layer's inputs in the pruned network, in the order of the nodes, so that each layer also mends what those before it did.
 * What a layer should give is the dense network's value of the residual sum behind it, less the pruned network's other term (He, Zhang, Sun:
 * Channel Pruning, 2017, section 3.2 and 3.3). `pruned` keeps the dense graph's names.
 */
export async function reconstruct(
  dense: Graph,
  pruned: Graph,
  o: Reconstruction,
): Promise<{ readonly graph: Graph; readonly notes: readonly Note[] }> {
  const teacher = raiseOpset(dense);
  const notes: Note[] = [];
  let graph: Graph = raiseOpset(pruned);
  const weights = layersOf(graph).map((l) => l.weight);
  const disturbed = disturbedLayers(teacher, graph);
  for (const { node } of layersOf(graph)) {
    o.signal?.throwIfAborted();
    if (!disturbed.has(node)) continue;
    // The graph changes with every layer: look it up anew.
    const layer = layersOf(graph).find((l) => l.node.outputs[0] === node.outputs[0])!;
    const skip = (why: string) =>
      notes.push({ node: node.name, what: "skipped", why: `${at(node)}: not refitted: ${why}` });
    if (weights.filter((w) => w === layer.weight).length > 1) {
      skip(`its weight "${layer.weight}" is shared`);
      continue;
    }
    const chain = chainOf(graph, layer);
    const joined = beside(graph, teacher);
    const there = layersOf(joined.graph).find((l) => l.node.outputs[0] === node.outputs[0])!;
    const moments = await momentsOf(joined.graph, there, o, (g) => target(g, graph, chain, joined.nameOf, o));
    if (!moments) skip("it is no plain matrix product");
    else if (moments.as.inputs > mostInputs) skip(`${moments.as.inputs} inputs are too many`);
    else graph = refitted(graph, chain, moments, o.ridge) ?? graph;
  }
  return { graph: withInitializers(pruned, graph), notes };
}

/** Layers that lost inputs, and those that come behind them. */
function disturbedLayers(dense: Graph, pruned: Graph): Set<Node> {
  const before = new Map(layersOf(dense).map((l) => [l.node.outputs[0], l]));
  const layers = new Map(layersOf(pruned).map((l) => [l.node, l]));
  const values = new Set<string>();
  const found = new Set<Node>();
  for (const node of pruned.nodes) {
    const layer = layers.get(node);
    const old = before.get(node.outputs[0]);
    const lost = layer?.dims.some((n, d) => !layer.kept[d] && n !== old?.dims[d]) ?? false;
    if (!lost && !node.inputs.some((i) => values.has(i))) continue;
    for (const o of node.outputs) values.add(o);
    if (layer) found.add(node);
  }
  return found;
}

/** `pruned` in its own opset with the values of `graph`. */
function withInitializers(pruned: Graph, graph: Graph): Graph {
  const out = draft(pruned);
  for (const [name, t] of pruned.initializers)
    out.initializers.set(name, { ...t, ...(graph.initializers.get(name) ?? t) });
  return out;
}

function chainOf(graph: Graph, layer: Layer): Chain {
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
  const fits = other !== null && !constantsOf(graph).has(other) && !dependsOn(graph, other, layer.node);
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

/** Emits what the layer itself should give: the dense value behind it, taken back through sum and normalisation. */
function target(
  g: Emitter,
  graph: Graph,
  { layer, norm, sum, other }: Chain,
  nameOf: (n: string) => string,
  o: Reconstruction,
): string {
  const behind = (sum ?? norm ?? layer.node).outputs[0]!;
  const axis = layer.channelAxis!;
  let value = nameOf(behind);
  const alive = o.survivors(behind, axis);
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
const hasBias = (graph: Graph, { node }: Layer): boolean => {
  const bias = graph.initializers.get(node.inputs[2] ?? "");
  return bias?.type === "float32";
};

/** The graph with the layer's weight, and the bias or the normalisation's mean behind it, solved for; null where the system is singular. */
function refitted(graph: Graph, chain: Chain, m: Moments, ridge: number): Graph | null {
  const { layer, norm } = chain;
  const { groups, inputs: k, outputs: o } = m.as;
  const old = float32sOf(graph.initializers.get(layer.weight)!);
  const place = placeIn(m.as);
  const free = norm !== null || hasBias(graph, layer);
  const values = old.slice();
  const biases = new Float64Array(groups * o);
  for (let g = 0; g < groups; g++) {
    const [a, mean] = [m.xx.slice(g * k * k, (g + 1) * k * k), m.x.slice(g * k, (g + 1) * k).map((v) => v / m.count)];
    if (free) for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) a[i * k + j]! -= m.count * mean[i]! * mean[j]!;
    let trace = 0;
    for (let i = 0; i < k; i++) trace += a[i * k + i]!;
    const weight = (ridge * trace) / k || 1;
    for (let i = 0; i < k; i++) a[i * k + i]! += weight;
    if (!cholesky(a, k)) return null;
    for (let r = 0; r < o; r++) {
      const row = g * o + r;
      const average = m.y[row]! / m.count;
      const b = Float64Array.from(
        { length: k },
        (_, i) => m.yx[row * k + i]! - (free ? m.count * average * mean[i]! : 0) + weight * old[place(g, r, i)]!,
      );
      solveCholesky(a, k, b);
      for (let i = 0; i < k; i++) values[place(g, r, i)] = b[i]!;
      biases[row] = average - b.reduce((s, v, i) => s + v * mean[i]!, 0);
    }
  }
  const out: Draft = draft(graph);
  const put = (name: string, v: Float32Array) =>
    out.initializers.set(name, floats(v, graph.initializers.get(name)!.dims));
  put(layer.weight, values);
  if (hasBias(graph, layer)) put(layer.node.inputs[2]!, Float32Array.from(biases));
  else if (norm) {
    const mean = norm.inputs[3]!;
    put(
      mean,
      float32sOf(graph.initializers.get(mean)!).map((v, c) => v - biases[c]!),
    );
  }
  return out;
}
