/** Constant nodes -> initialisers of the same names, in the main graph and in bodies: afterwards a weight is an initialiser wherever it was. */
import type { Attribute, Graph, Int, Node, Subgraph, Tensor } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";
import { floats, int64s } from "../graph/tensor.js";

/** The same graph with no Constant nodes but those that are graph outputs themselves or hold sparse tensors. */
export function liftConstants(graph: Graph): Graph {
  const body = liftBody(graph);
  // Initialisers that are not inputs exist from IR 4 on.
  return body === graph ? graph : { ...graph, ...body, irVersion: Math.max(graph.irVersion, 4) };
}

function liftBody<G extends Subgraph>(graph: G): G {
  const outputs = new Set(graph.outputs.map((v) => v.name));
  const lifted = new Map<string, Tensor>();
  const nodes: Node[] = [];
  let changed = false;
  for (const n of graph.nodes) {
    const name = n.outputs[0] ?? "";
    const value = n.op === "Constant" && n.domain === "" && !outputs.has(name) ? constantOf(n) : null;
    if (value) lifted.set(name, value);
    else {
      const inside = withBodies(n, liftBody);
      changed ||= inside !== n;
      nodes.push(inside);
    }
  }
  if (lifted.size === 0 && !changed) return graph;
  return { ...graph, nodes, initializers: new Map([...graph.initializers, ...lifted]) };
}

const utf8 = new TextEncoder();
const values: Readonly<Record<string, (a: Attribute) => Tensor | null>> = {
  value: (a) => (a.kind === "tensor" ? a.value : null),
  value_float: (a) => (a.kind === "float" ? floats([a.value], []) : null),
  value_floats: (a) => (a.kind === "floats" ? floats(a.value, [a.value.length]) : null),
  value_int: (a) => (a.kind === "int" ? int64s([a.value], []) : null),
  value_ints: (a) => (a.kind === "ints" ? int64s(a.value as readonly Int[]) : null),
  value_string: (a) => (a.kind === "string" ? strings([a.value], []) : null),
  value_strings: (a) => (a.kind === "strings" ? strings(a.value, [a.value.length]) : null),
};
const strings = (list: readonly string[], dims: readonly number[]): Tensor => ({
  type: "string",
  dims,
  bytes: new Uint8Array(0),
  strings: list.map((s) => utf8.encode(s)),
});

/** What a Constant node holds; null where that is no dense tensor. */
function constantOf(n: Node): Tensor | null {
  const [entry, ...others] = Object.entries(n.attributes);
  return entry && others.length === 0 ? (values[entry[0]]?.(entry[1]) ?? null) : null;
}
