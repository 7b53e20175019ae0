/** A Graph and a value for every unknown of its scalings come in; the same function with its constants multiplied by them goes out. */
import type { ScaledUse, Scalings, Spread } from "../analyze/scalings.js";
import { Emitter } from "../graph/emit.js";
import { draft, type Graph, type Node, type Tensor } from "../graph/graph.js";
import { readCounts } from "../graph/scope.js";
import { float32sOf, floats, sizeOf } from "../graph/tensor.js";

/** `factors[id]` for id 1..count; 0 is 1. A constant whose readers want it scaled differently becomes one for each of them. */
export function rescale(graph: Graph, { uses }: Pick<Scalings, "uses">, factors: ArrayLike<number>): Graph {
  const d = draft(graph);
  const g = new Emitter(d);
  const counts = readCounts(graph);
  const renamed = new Map<Node, Map<number, string>>();
  for (const u of uses) {
    const after = scaled(graph.initializers.get(u.tensor)!, u, factors);
    if (counts.get(u.tensor) === 1) {
      d.initializers.set(u.tensor, after);
      continue;
    }
    const name = g.fresh(u.tensor);
    d.initializers.set(name, after);
    renamed.set(u.node, (renamed.get(u.node) ?? new Map<number, string>()).set(u.input, name));
  }
  if (renamed.size === 0) return d;
  d.nodes = d.nodes.map((n) => {
    const names = renamed.get(n);
    return names ? { ...n, inputs: n.inputs.map((name, i) => names.get(i) ?? name) } : n;
  });
  const read = readCounts(d);
  for (const { tensor } of uses)
    if (!read.has(tensor) && !d.inputs.some((v) => v.name === tensor)) d.initializers.delete(tensor);
  return d;
}

function scaled(t: Tensor, u: ScaledUse, factors: ArrayLike<number>): Tensor {
  const [over, under] = [idsOf(u.over, t.dims), idsOf(u.under, t.dims)];
  const factor = (id: number): number => (id === 0 ? 1 : factors[id]!);
  const values = float32sOf(t).map((x, i) => (x * factor(over(i))) / factor(under(i)));
  return floats(values, t.dims);
}

/** Which unknown multiplies element i of a tensor of these dims. */
export function idsOf({ axes, ids }: Spread, dims: readonly number[]): (i: number) => number {
  if (axes.length === 0) return () => ids[0]!;
  const inner = axes.map((d) => sizeOf(dims.slice(d + 1)));
  if (axes.length === 1) return (i) => ids[Math.floor(i / inner[0]!) % dims[axes[0]!]!]!;
  return (i) => ids[axes.reduce((at, d, k) => at * dims[d]! + (Math.floor(i / inner[k]!) % dims[d]!), 0)]!;
}
