/** Nodes that compute the same and constants that hold the same -> one of each. In bodies, each for itself. */
import type { Attribute, Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { bodiesOf, withBodies } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";
import { rereading } from "./each-body.js";

/** The same function and the same names of inputs and outputs. */
export function mergeEqual(graph: Graph): Graph {
  return mergeIn(graph);
}

function mergeIn<G extends Subgraph>(body: G): G {
  const outputs = new Set(body.outputs.map((v) => v.name));
  const source = new Map<string, string>();
  const initializers = uniqueConstants(body, outputs, source);
  const seen = new Map<string, Node>();
  const nodes: Node[] = [];
  for (const old of body.nodes) {
    const n = rereading(withBodies(old, mergeIn), (name) => source.get(name) ?? name);
    const key = keyOf(n);
    const twin = key === null ? undefined : seen.get(key);
    if (twin && !n.outputs.some((o) => outputs.has(o)) && n.outputs.every((o, k) => !o || twin.outputs[k])) {
      n.outputs.forEach((o, k) => {
        if (o) source.set(o, twin.outputs[k]!);
      });
      continue;
    }
    if (key !== null && !twin) seen.set(key, n);
    nodes.push(n);
  }
  const changed = initializers.size !== body.initializers.size || nodes.some((n, i) => n !== body.nodes[i]);
  return changed || nodes.length !== body.nodes.length ? { ...body, nodes, initializers } : body;
}

function uniqueConstants(
  body: Subgraph,
  outputs: ReadonlySet<string>,
  source: Map<string, string>,
): ReadonlyMap<string, Tensor> {
  const inputs = new Set(body.inputs.map((v) => v.name));
  const kept = new Map<string, Tensor>();
  const byForm = new Map<string, [string, Tensor][]>();
  for (const [name, t] of body.initializers) {
    const free = !outputs.has(name) && !inputs.has(name) && !t.strings;
    const form = `${t.type} ${t.dims} ${t.bytes.length} ${sampleOf(t.bytes)}`;
    const alike = byForm.get(form) ?? [];
    const twin = free ? alike.find(([, other]) => sameBytes(t.bytes, other.bytes)) : undefined;
    if (twin) source.set(name, twin[0]);
    else {
      kept.set(name, t);
      if (free) byForm.set(form, [...alike, [name, t]]);
    }
  }
  return kept;
}
/** FNV-1a over at most some thousand of the bytes, evenly spread. */
function sampleOf(bytes: Uint8Array): number {
  const step = Math.max(1, Math.floor(bytes.length / 4096));
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i += step) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  return h >>> 0;
}
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.every((v, i) => v === b[i]);

/** What a node computes, as text; null where two runs may differ or the text would be long. */
function keyOf(n: Node): string | null {
  if (n.domain !== "" || !recordOf(n) || n.op === "Dropout" || bodiesOf(n).length > 0) return null;
  const attributes = Object.entries(n.attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const values: string[] = [];
  for (const [name, a] of attributes) {
    const text = textOf(a);
    if (text === null) return null;
    values.push(`${name}=${text}`);
  }
  return JSON.stringify([n.op, n.inputs, values, n.outputs.length]);
}
const textOf = (a: Attribute): string | null =>
  a.kind === "int" || a.kind === "float" || a.kind === "string"
    ? `${a.kind} ${a.value}`
    : a.kind === "ints" || a.kind === "floats" || a.kind === "strings"
      ? `${a.kind} ${JSON.stringify(a.value.map(String))}`
      : null;
