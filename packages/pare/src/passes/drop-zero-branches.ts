/** Sums with terms that are always zero -> what is left of them: a block whose branch has died goes, with everything that only it needed. */
import { inferAny } from "../analyze/couple.js";
import { zeroConstants, zeroValues } from "../analyze/zero-values.js";
import { node as makeNode } from "../graph/emit.js";
import type { Graph, Node } from "../graph/graph.js";
import { recordOf } from "../ops/registry.js";
import { dropDeadNodes } from "./drop-dead-nodes.js";
import { rereading } from "./each-body.js";

/** Computes the same as `graph`, as long as everything in it is finite; names of inputs and outputs stay. Sums whose shape the zeros decide stay. */
export function dropZeroBranches(graph: Graph): Graph {
  const { inferred } = inferAny(graph, {});
  const zero = zeroValues(graph, zeroConstants(graph), inferred);
  const shapeOf = (name: string): string => inferred.types.get(name)?.shape?.join() ?? "?";
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const source = new Map<string, string>();
  const to = (name: string): string => source.get(name) ?? name;
  let changed = false;
  const nodes = graph.nodes.flatMap((old): Node[] => {
    const node = rereading(old, to);
    const [y] = old.outputs;
    if (!y || !recordOf(old)?.sums || !old.inputs.some((x) => zero.has(x))) return [node];
    const alive = old.inputs.filter((x) => !zero.has(x));
    const left = (alive.length > 0 ? alive : old.inputs.slice(0, 1)).map(to);
    if (left.length === old.inputs.length || !left.some((x) => same(shapeOf(x), shapeOf(y)))) return [node];
    changed = true;
    if (left.length > 1) return [{ ...node, inputs: left }];
    if (outputs.has(y)) return [makeNode("Identity", left, [y], {}, "", old.name)];
    source.set(y, left[0]!);
    return [];
  });
  return changed ? dropDeadNodes({ ...graph, nodes }) : graph;
}
/** Two shapes that are known to the last length, and equal. */
const same = (a: string, b: string): boolean => a === b && !a.includes("?") && !a.split(",").includes("");
