/**
 * A training graph comes in; the same gradients by shorter ways go out. What holds for any max-pooling y of x, whose every window hands
 * all of its dy to elements equal to its maximum:
 *   ReluGrad(MaxPoolGrad(dy, x, y), x) = MaxPoolGrad(ReluGrad(dy, y), x, y): the mask is drawn on the smaller tensor;
 *   sum over batch and image of MaxPoolGrad(dy, x, y) = that sum of dy: the bias gradient of a convolution before the pooling.
 */
import { Emitter } from "../graph/emit.js";
import { draft, type Graph, type Node } from "../graph/graph.js";
import { int64sOf } from "./int64s-of.js";

const isPoolGrad = (n: Node | undefined): n is Node => n?.domain === "pare" && n.op === "MaxPoolGrad";

/** Applies both rules where they hold; the graph itself where they never do. */
export function simplifyGradients(graph: Graph): Graph {
  if (!graph.nodes.some(isPoolGrad)) return graph;
  return sumsPastPooling(masksPastPooling(graph));
}

function masksPastPooling(graph: Graph): Graph {
  const [makers, uses] = [makersOf(graph), usesOf(graph)];
  const out = draft(graph);
  const g = new Emitter(out, "float32", "simplified_");
  /** MaxPoolGrad's output -> the ReluGrad that reads it, and nothing else does. */
  const masked = new Map<string, Node>();
  for (const n of graph.nodes) {
    if (n.domain !== "pare" || n.op !== "ReluGrad") continue;
    const [d, y] = n.inputs as [string, string];
    const pool = makers.get(d);
    if (isPoolGrad(pool) && pool.inputs[1] === y && uses.get(d) === 1) masked.set(d, n);
  }
  out.nodes = [];
  for (const n of graph.nodes) {
    const mask = masked.get(n.outputs[0]!);
    if (mask) {
      const [dy, x, y] = n.inputs as [string, string, string];
      const d = g.op("ReluGrad", [dy, y], mask.attributes, "pare");
      const type = graph.values.get(dy) ?? graph.inputs.find((v) => v.name === dy);
      if (type) out.values.set(d, { ...type, name: d });
      g.push({ ...n, inputs: [d, x, y], outputs: mask.outputs });
    } else if (![...masked.values()].includes(n)) g.push(n);
  }
  return out;
}

function sumsPastPooling(graph: Graph): Graph {
  const makers = makersOf(graph);
  const out = draft(graph);
  out.nodes = graph.nodes.map((n) => {
    const pool = makers.get(n.inputs[0] ?? "");
    const axes =
      n.op === "ReduceSum" && n.domain === "" && isPoolGrad(pool) ? int64sOf(graph, n.inputs[1] ?? "") : null;
    const rank = pool ? (graph.values.get(pool.inputs[0]!)?.shape?.length ?? 0) : 0;
    const all = axes?.map((a) => (a < 0 ? a + rank : a)).filter((a) => a !== 1);
    const whole = all && rank > 2 && all.length === axes?.length && new Set(all).size === rank - 1;
    return whole ? { ...n, inputs: [pool!.inputs[0]!, n.inputs[1]!] } : n;
  });
  return out;
}

const makersOf = (graph: Graph): Map<string, Node> =>
  new Map(graph.nodes.flatMap((n) => n.outputs.map((o): [string, Node] => [o, n])));

/** Readers by name; a name that leaves the graph has one more. Bodies of control flow never hold gradients. */
function usesOf(graph: Graph): Map<string, number> {
  const uses = new Map<string, number>();
  for (const name of [...graph.nodes.flatMap((n) => n.inputs), ...graph.outputs.map((v) => v.name)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}
