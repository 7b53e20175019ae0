/** Graph -> the same graph without what only costs bytes: doc strings and metadata of its parts, such as an exporter's stack traces, and declared types of inner names where Pare infers them itself. */
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";

/** Metadata of the model, names of nodes, inputs and outputs stay. */
export function stripNotes(graph: Graph): Graph {
  return { ...graph, ...stripBody(graph) };
}

function stripBody(body: Subgraph): Subgraph {
  const nodes = body.nodes.map((n): Node => withoutDoc(withBodies(n, stripBody)));
  const initializers = new Map([...body.initializers].map(([name, t]) => [name, withoutDoc(t)]));
  const unknown = new Set(body.nodes.flatMap((n) => (recordOf(n) ? [] : n.outputs)));
  const values = new Map([...body.values].filter(([name]) => unknown.has(name)));
  const bare = withoutDoc(body);
  return {
    ...bare,
    nodes,
    initializers,
    inputs: body.inputs.map(withoutDoc),
    outputs: body.outputs.map(withoutDoc),
    values,
  };
}
/** Unknown fields stay; doc strings and metadata go. */
function withoutDoc<T extends { readonly extra?: unknown }>(thing: T): T {
  const { extra, ...bare } = thing;
  const { docString: _, metadataProps: __, ...rest } = (extra ?? {}) as Record<string, unknown>;
  return (Object.keys(rest).length > 0 ? { ...bare, extra: rest } : bare) as T;
}
