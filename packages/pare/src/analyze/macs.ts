/** Multiply-accumulates: a graph with its shapes comes in; out, the count of every node, read off the axes of its contraction. */
import { PareError } from "../graph/error.js";
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { isFixed } from "../ops/dims.js";
import { isNone, type Site } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { siteOf } from "../ops/site.js";
import type { Inferred, Scope } from "./infer.js";
import { lengthsOf, type Pattern, type Signature, signature } from "./signature.js";

interface Names {
  typeOf(name: string): ReturnType<Scope["typeOf"]>;
  valueOf(name: string): ReturnType<Scope["valueOf"]>;
}

/** MACs of every node of the main graph in the order of its nodes; bodies are counted into their node. Operators without weights count 0; what has no known shape counts 0 too. */
export function macsOf(graph: Graph, inferred: Inferred): number[] {
  const names: Names = {
    typeOf: (name) => inferred.types.get(name) ?? null,
    valueOf: (name) => inferred.values.get(name) ?? null,
  };
  return macsIn(graph, graph, inferred, names);
}
const macsIn = (graph: Graph, body: Subgraph, inferred: Inferred, names: Names): number[] =>
  body.nodes.map((n) => {
    const site = siteAt(graph, n, names);
    if (!site) return 0;
    const record = recordOf(n)!;
    if (record.turns) return macsOfBodies(graph, n, inferred, record.turns(site));
    return record.quant === "weights" ? contraction(site) : 0;
  });

function macsOfBodies(graph: Graph, n: Node, inferred: Inferred, turns: number | string): number {
  const each = Object.values(n.attributes).flatMap((a) => {
    const scope = a.kind === "graph" ? inferred.bodies.get(a.value) : undefined;
    return a.kind === "graph" && scope ? [macsIn(graph, a.value, inferred, scope).reduce((x, y) => x + y, 0)] : [];
  });
  if (turns === "one of") return Math.max(0, ...each);
  return each.reduce((x, y) => x + y, 0) * (typeof turns === "number" ? turns : 1);
}

function siteAt(graph: Graph, node: Node, names: Names): Site | null {
  const record = recordOf(node);
  if (!record) return null;
  return siteOf(record, {
    node,
    opset: graph.opsets.get(node.domain) ?? 1,
    x: node.inputs.map((name) => (name ? names.typeOf(name) : null)),
    y: node.outputs.map((name) => (name ? names.typeOf(name) : null)),
    value: (i) => (node.inputs[i] ? names.valueOf(node.inputs[i]) : null),
  });
}

/** Every output element once for each combination of the letters that a weight has and the output lacks. */
function contraction(s: Site): number {
  const record = recordOf(s.node)!;
  const fixedOnly = (list: Site["x"]): (readonly number[] | null)[] =>
    list.map((v) => (v && isFixed(v.shape) ? v.shape : null));
  const ranks = (list: readonly (readonly number[] | null)[]) => list.map((d) => d?.length ?? null);
  try {
    const found = typeof record.axes === "function" ? record.axes(s) : record.axes;
    if (typeof found === "object" && (isNone(found) || "picks" in found)) return 0;
    const spec = typeof found === "string" ? { text: found } : found;
    // An output that nobody asked for has a shape all the same.
    const [inputs, outputs] = [fixedOnly(s.x), fixedOnly(record.shape(s).map((y, k) => s.y[k] ?? y))];
    const sig = signature(spec.text, ranks(inputs), ranks(outputs));
    if (!sig.outputs[0] || !sig.inputs[0]) return 0;
    const lengths = lengthsOf(sig, inputs, outputs, spec.sizes ?? {});
    return sig.inputs.slice(1).reduce((sum, term) => sum + (term ? perWeight(sig, term, lengths) : 0), 0);
  } catch (error) {
    // A branch that does not fit these dims is one that does not run.
    if (error instanceof PareError) return 0;
    throw error;
  }
}
const namesIn = (terms: readonly (readonly Pattern[] | null)[]): string[] =>
  terms.flatMap((t) => t ?? []).flatMap((p) => p.letters.map((l) => l.name));

function perWeight(s: Signature, weight: readonly Pattern[], lengths: ReadonlyMap<string, number>): number {
  const length = (names: readonly string[]) => names.reduce((p, name) => p * (lengths.get(name) ?? 1), 1);
  const x = new Set(namesIn([s.inputs[0]!]));
  const w = namesIn([weight]);
  const y = new Set(namesIn(s.outputs.slice(0, 1)));
  // A letter that stands twice in the weight (h in a recurrent one) is contracted the second time.
  const summed = w.filter((name, i) => !y.has(name) || w.indexOf(name) !== i);
  if (!summed.some((name) => !/^\d/.test(name))) return 0;
  // Positions of x alone and of y alone: a transposed convolution spreads each of x's instead of gathering each of y's.
  const spreads = weight[0]!.letters.some((l) => x.has(l.name) && !y.has(l.name));
  const own = spreads ? [...x].filter((name) => !y.has(name) && !w.includes(name)) : [];
  const kept = own.length > 0 ? [...y].filter((name) => x.has(name) || w.includes(name)) : [...y];
  return length(kept) * length(own) * length(summed);
}
