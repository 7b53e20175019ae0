/** Conformance cases of one node -> the node's record and its place: types, values and names of inputs and outputs. */
import { fromBytes } from "../../dist/graph/decode.js";
import type { Graph, Node, Tensor, ValueType } from "../../dist/graph/graph.js";
import type { Operator } from "../../dist/ops/record.js";
import { recordOf } from "../../dist/ops/registry.js";
import { opsetOf } from "../../dist/ops/site.js";
import { type Case, conformance } from "./conformance.js";

export interface Trial {
  readonly name: string;
  /** What onnxruntime 1.30 makes of the case. */
  readonly status: string;
  readonly graph: Graph;
  readonly node: Node;
  readonly record: Operator;
  readonly opset: number;
  /** By position of the node's inputs and outputs; null where absent. */
  readonly inputs: readonly (Tensor | null)[];
  readonly outputs: readonly (Tensor | null)[];
}

/** Every conformance case whose model is one node with a record that `wanted` accepts, tensors only. */
export function* trials(wanted: (record: Operator) => boolean): Generator<Trial> {
  all ??= (["node", "pytorch"] as const).flatMap((suite) => [...conformance(suite)].flatMap((c) => trialOf(c) ?? []));
  for (const trial of all) if (wanted(trial.record)) yield trial;
}
let all: Trial[] | undefined;

function trialOf(c: Case): Trial | null {
  let graph: Graph;
  try {
    graph = fromBytes(c.model);
  } catch {
    return null; // The reader's own tests say which models it refuses, and why.
  }
  const [node] = graph.nodes;
  if (graph.nodes.length !== 1 || !node) return null;
  const record = recordOf(node);
  if (!record) return null;
  const feeds = graph.inputs.filter((v) => !graph.initializers.has(v.name));
  const named = new Map<string, Tensor | null>(graph.initializers);
  for (const [i, v] of feeds.entries()) named.set(v.name, c.inputs[i] ?? null);
  for (const [i, v] of graph.outputs.entries()) named.set(v.name, c.outputs[i] ?? null);
  const find = (name: string) => (name ? (named.get(name) ?? null) : null);
  if (node.inputs.some((name) => name && !find(name))) return null; // Sequences and optionals.
  return {
    name: `${suiteless(c.name)}${c.set ? ` (set ${c.set})` : ""}`,
    status: c.status,
    graph,
    node,
    record,
    opset: opsetOf(graph, node.domain),
    inputs: node.inputs.map(find),
    outputs: node.outputs.map(find),
  };
}
const suiteless = (name: string): string => name.replace(/^test_/, "");

export const typeOf = (t: Tensor | null): ValueType | null => (t ? { type: t.type, shape: t.dims } : null);
