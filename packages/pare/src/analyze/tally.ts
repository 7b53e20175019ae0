/** What a coupled graph weighs once channels are gone, without cutting it: multiply-accumulates and bytes as functions of the channels. */
import type { Node } from "../graph/graph.js";
import { bitsOf } from "../graph/tensor.js";
import { type Axis, type Channel, resolve } from "./axes.js";
import { type Coupling, constantsOf } from "./couple.js";
import { layersOf } from "./layers.js";
import { macsOf } from "./macs.js";

/** Counts when these channels are removed. */
export type Tally = (removed: ReadonlySet<Channel>) => number;

/** The channels behind each index of an axis, resolved once; null where none of them can go. */
type Lists = readonly (readonly Channel[])[] | null;
const listsOf = (axis: Axis): { readonly length: number; readonly lists: Lists } => {
  const lists = axis.map(resolve);
  const open = lists.some((list) => list.some((c) => !c.held));
  return { length: axis.length, lists: open ? lists : null };
};
function lengthOf({ length, lists }: ReturnType<typeof listsOf>, removed: ReadonlySet<Channel>): number {
  if (!lists) return length;
  let kept = 0;
  for (const list of lists) if (list.every((c) => !removed.has(c))) kept++;
  return kept;
}
type Shares = readonly ReturnType<typeof listsOf>[];
const product = (axes: Shares, removed: ReadonlySet<Channel>): number =>
  axes.reduce((p, axis) => p * (axis.length === 0 ? 1 : lengthOf(axis, removed) / axis.length), 1);

/** Lengths of all axes of a node's inputs, one after the other. */
export function inputLengths(coupling: Coupling, node: Node): (removed: ReadonlySet<Channel>) => number[] {
  const constants = new Map(coupling.uses.flatMap((use) => (use.node === node ? [[use.input, use.axes]] : [])));
  const axes = node.inputs.flatMap((name, i) => (constants.get(i) ?? coupling.axes.get(name) ?? []).map(listsOf));
  return (removed) => axes.map((axis) => lengthOf(axis, removed));
}

/** Bytes of all constants that nodes compute with. */
export function bytesTally(coupling: Coupling): Tally {
  const constants = constantsOf(coupling.graph);
  const seen = new Set<string>();
  const parts: { readonly bytes: number; readonly axes: Shares }[] = [];
  for (const use of coupling.uses) {
    if (seen.has(use.tensor)) continue;
    seen.add(use.tensor);
    const t = constants.get(use.tensor)!;
    const size = t.dims.reduce((p, d) => p * d, bitsOf[t.type] / 8);
    parts.push({ bytes: size, axes: use.axes.map(listsOf) });
  }
  return (removed) => parts.reduce((sum, p) => sum + p.bytes * product(p.axes, removed), 0);
}

/**
 * MACs of the main graph for the dims it was coupled with. Exact for nodes with constant weights, whose MACs go with the weights' elements, and
 * for products of two activations.
 */
export function macsTally(coupling: Coupling): Tally {
  const { graph, inferred, uses } = coupling;
  const macs = macsOf(graph, inferred);
  const byNode = new Map<Node, { readonly size: number; readonly axes: Shares }[]>();
  const layers = layersOf(graph, inferred);
  for (const use of uses) {
    const own = layers.filter((l) => l.node === use.node);
    if (own.length ? !own.some((l) => l.input === use.input) : use.axes.length < 2) continue;
    const size = use.axes.reduce((p, a) => p * a.length, 1);
    byNode.set(use.node, [...(byNode.get(use.node) ?? []), { size, axes: use.axes.map(listsOf) }]);
  }
  const parts = graph.nodes.flatMap((node, i): ((removed: ReadonlySet<Channel>) => number)[] => {
    if (!macs[i]) return [];
    const weights = byNode.get(node);
    if (weights) {
      const total = weights.reduce((sum, w) => sum + w.size, 0);
      return [(r) => (macs[i]! * weights.reduce((sum, w) => sum + w.size * product(w.axes, r), 0)) / total];
    }
    const [a, y] = [coupling.axes.get(node.inputs[0] ?? ""), coupling.axes.get(node.outputs[0] ?? "")];
    if (!a || !y) return [() => macs[i]!];
    const axes = [...a, y.at(-1)!].map(listsOf);
    return [(r) => macs[i]! * product(axes, r)];
  });
  return (removed) => parts.reduce((sum, part) => sum + part(removed), 0);
}
