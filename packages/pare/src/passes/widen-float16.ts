/** A model of half floats -> the same model in float32 within; inputs and outputs stay half floats. */
import { node as makeNode } from "../graph/emit.js";
import { float16Value } from "../graph/float16.js";
import type { Graph, Node, Subgraph, Tensor, Value } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";
import { dataTypeNumber, floats } from "../graph/tensor.js";

/** A model without half floats comes back unchanged. Twice the bytes: for methods that need float32. */
export function widenFloat16(graph: Graph): Graph {
  if (![...graph.initializers.values(), ...graph.inputs].some((t) => t.type === "float16")) return graph;
  const body = widened(graph);
  const renamed = new Map<string, string>();
  const casts: Node[] = [];
  for (const v of graph.inputs) {
    if (v.type !== "float16" || graph.initializers.has(v.name)) continue;
    renamed.set(v.name, `${v.name}_float32`);
    casts.push(cast(v.name, `${v.name}_float32`, "float32"));
  }
  const after: Node[] = [];
  for (const v of graph.outputs) {
    if (v.type !== "float16") continue;
    const own = renamed.get(v.name) ?? `${v.name}_float32`;
    renamed.set(v.name, own);
    after.push(cast(own, v.name, "float16"));
  }
  const to = (name: string) => renamed.get(name) ?? name;
  const nodes = body.nodes.map((n) => ({ ...n, inputs: n.inputs.map(to), outputs: n.outputs.map(to) }));
  return { ...graph, ...body, nodes: [...casts, ...nodes, ...after], inputs: graph.inputs, outputs: graph.outputs };
}
const cast = (from: string, name: string, type: "float32" | "float16"): Node =>
  makeNode("Cast", [from], [name], { to: dataTypeNumber(type) });

function widened(body: Subgraph): Subgraph {
  const wide = (t: Tensor): Tensor => (t.type === "float16" ? floats(valuesOf(t), t.dims) : t);
  const half = dataTypeNumber("float16");
  const value = (v: Value): Value => (v.type === "float16" ? { ...v, type: "float32" } : v);
  const nodes = body.nodes.map((n): Node => {
    const inner = withBodies(n, widened);
    const attributes = Object.fromEntries(
      Object.entries(inner.attributes).map(([name, a]) => {
        if (a.kind === "tensor") return [name, { ...a, value: wide(a.value) }];
        const casts = a.kind === "int" && a.value === half && (name === "to" || name === "dtype");
        return [name, casts ? { ...a, value: dataTypeNumber("float32") } : a];
      }),
    );
    return { ...inner, attributes };
  });
  return {
    ...body,
    nodes,
    initializers: new Map([...body.initializers].map(([name, t]) => [name, wide(t)])),
    inputs: body.inputs.map(value),
    outputs: body.outputs.map(value),
    values: new Map([...body.values].map(([name, v]) => [name, value(v)])),
  };
}
function valuesOf(t: Tensor): Float32Array {
  const view = new DataView(t.bytes.buffer, t.bytes.byteOffset, t.bytes.byteLength);
  return Float32Array.from({ length: t.bytes.length / 2 }, (_, i) => float16Value(view.getUint16(2 * i, true)));
}
