/** Two graphs compared without the names inside them: who reads whom by order of definition, constants by their contents. */
import { createHash } from "node:crypto";
import type { Attribute, Graph, Subgraph, Tensor } from "../../dist/graph/graph.js";

type Known = ReadonlyMap<string, string>;

/** Plain data that is equal for graphs which differ in inner names (and remarks) alone. */
export const canonical = (g: Graph): unknown =>
  structuredClone({
    ...bodyOf(g, new Map()),
    irVersion: g.irVersion,
    opsets: g.opsets,
    functions: g.functions.map(({ extra: _, ...fn }) => fn),
    metadata: g.metadata,
    names: [g.inputs, g.outputs].map((vs) => vs.map((v) => v.name)),
  });

function bodyOf(g: Subgraph, outer: Known): object {
  const known = new Map(outer);
  const constants = new Map([...g.initializers].map(([name, t]) => [name, contents(t)]));
  for (const [name, text] of constants) known.set(name, text);
  for (const [i, v] of g.inputs.entries()) known.set(v.name, `input ${outer.size}.${i} ${constants.get(v.name) ?? ""}`);
  const nodes = g.nodes.map((n, i) => {
    const attributes = Object.entries(n.attributes).map(([name, a]) => [name, valueIn(a, known)]);
    const inputs = n.inputs.map((name) => name && (known.get(name) ?? `nowhere: ${name}`));
    for (const [k, name] of n.outputs.entries()) if (name) known.set(name, `node ${outer.size}.${i}.${k}`);
    return [n.domain, n.op, attributes, inputs, n.outputs.map((o) => o !== "")];
  });
  const type = ({ type, shape, other }: { type: unknown; shape: unknown; other?: unknown }) => [type, shape, other];
  return {
    inputs: g.inputs.map((v) => [...type(v), known.get(v.name)]),
    nodes,
    outputs: g.outputs.map((v) => [...type(v), known.get(v.name) ?? `nowhere: ${v.name}`]),
    constants: [...constants.values()].sort(),
  };
}
function valueIn(a: Attribute, known: Known): unknown {
  if (a.kind === "graph") return bodyOf(a.value, known);
  if (a.kind === "graphs") return a.value.map((body) => bodyOf(body, known));
  if (a.kind === "tensor") return contents(a.value);
  return [a.kind, "value" in a ? a.value : null, "proto" in a ? a.proto : null];
}
const hex = (bytes: Uint8Array): string =>
  bytes.length < 64 ? Buffer.from(bytes).toString("hex") : createHash("sha256").update(bytes).digest("hex");
const contents = (t: Tensor): string => `${t.type}[${t.dims}] ${hex(t.bytes)} ${t.strings?.map(hex) ?? ""}`;
