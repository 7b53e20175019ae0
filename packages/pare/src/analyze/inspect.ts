/** What is in a model: a Graph comes in; out, counts of its parameters, bytes and multiply-accumulates, by layer, and its coupled channels. */
import { z } from "zod";
import type { Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { feeds } from "../graph/graph.js";
import { byteLengthOf, sizeOf } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { isFloat } from "../ops/values.js";
import { constantsOf, couple } from "./couple.js";
import { groupsOf } from "./groups.js";
import { macsOf } from "./macs.js";
import { nonzeroIn } from "./nonzero.js";
import { preprocessing } from "./parameters.js";

const count = z.number().int().nonnegative();
const value = z.object({
  name: z.string(),
  type: z.string(),
  /** Numbers, or names of lengths that the model leaves open; null where the rank is unknown. */
  shape: z.array(z.union([z.number(), z.string()])).nullable(),
});
/** The schema of `pare inspect --json`. */
export const inspection = z.object({
  opset: count,
  nodes: count,
  parameters: count,
  nonzero: count,
  macs: count,
  sizeBytes: count,
  inputs: z.array(value),
  outputs: z.array(value),
  operators: z.record(z.string(), count),
  layers: z.array(
    z.object({
      name: z.string(),
      op: z.string(),
      parameters: count,
      nonzero: count,
      macs: count,
      sizeBytes: count,
    }),
  ),
  groups: z.array(
    z.object({
      name: z.string(),
      /** Channels that live and die together with their counterparts in every member. */
      size: count,
      free: z.boolean(),
      /** Why none of them may go; null where they may. */
      reason: z.string().nullable(),
      members: z.array(z.object({ tensor: z.string(), axis: count, node: z.string(), times: count })),
    }),
  ),
  /** Nodes whose weights are in no group, and why. */
  ungrouped: z.array(z.object({ node: z.string(), reason: z.string() })),
});
export type Inspection = z.infer<typeof inspection>;

export interface InspectOptions {
  /** Dims of inputs that leave axes open; a batch of one, 224 x 224 images and 512 steps otherwise. */
  readonly inputs?: Readonly<Record<string, readonly number[]>>;
}

/**
 * Counts a model. Parameters are the elements of floating-point and quantized constants of rank 1 and more that some node computes with:
 * not shapes and indices, nor running statistics and scales of quantization, though these do count in `sizeBytes`. A constant with
 * several readers counts with the first. MACs are of one run with the inputs' dims. Throws PareError where shapes contradict one another.
 */
export function inspect(graph: Graph, options: InspectOptions = {}): Inspection {
  const coupling = couple(graph, options);
  const macs = macsOf(graph, coupling.inferred);
  // Mean and scale of the pixels are no parameters.
  const counted = new Set<Tensor>([...preprocessing(graph)].map((name) => graph.initializers.get(name)!));
  const layers = graph.nodes.map((n, i) => ({
    name: n.name || n.outputs.find(Boolean) || n.op,
    op: n.op,
    ...parametersOf(n, [constantsOf(graph)], counted),
    macs: macs[i]!,
  }));
  const total = (key: "parameters" | "nonzero" | "macs" | "sizeBytes") => layers.reduce((sum, l) => sum + l[key], 0);
  const operators: Record<string, number> = {};
  const all = [...nodesIn(graph)];
  for (const n of all) operators[labelOf(n)] = (operators[labelOf(n)] ?? 0) + 1;
  return {
    opset: graph.opsets.get("") ?? 1,
    nodes: all.length,
    parameters: total("parameters"),
    nonzero: total("nonzero"),
    macs: total("macs"),
    sizeBytes: total("sizeBytes"),
    inputs: feeds(graph).map(({ name, type, shape }) => ({ name, type, shape: shape && [...shape] })),
    outputs: graph.outputs.map(({ name, type, shape }) => ({ name, type, shape: shape && [...shape] })),
    operators,
    layers: layers
      .filter((l) => l.parameters > 0 || l.macs > 0)
      .map(({ name, op, parameters, nonzero, macs, sizeBytes }) => ({
        name,
        op,
        parameters,
        nonzero,
        macs,
        sizeBytes,
      })),
    groups: groupsOf(coupling).map(({ name, size, blocked, members }) => ({
      name,
      size,
      free: blocked === null,
      reason: blocked && `${blocked.at}: ${blocked.why}`,
      members: [...members],
    })),
    ungrouped: coupling.leftAlone.map(({ at, why }) => ({ node: at, reason: why })),
  };
}
const labelOf = (n: Node): string => (n.domain ? `${n.domain}.${n.op}` : n.op);
function* nodesIn(body: Subgraph): Generator<Node> {
  for (const n of body.nodes) {
    yield n;
    for (const a of Object.values(n.attributes)) if (a.kind === "graph") yield* nodesIn(a.value);
  }
}

/** The constants that a node computes with, and its bodies; scopes go from the inside out. */
function parametersOf(n: Node, scopes: readonly ReadonlyMap<string, Tensor>[], counted: Set<Tensor>) {
  const sum = { parameters: 0, nonzero: 0, sizeBytes: 0 };
  const add = (p: typeof sum) => {
    sum.parameters += p.parameters;
    sum.nonzero += p.nonzero;
    sum.sizeBytes += p.sizeBytes;
  };
  const untrained = recordOf(n)?.untrained ?? [];
  for (const [i, name] of n.inputs.entries()) {
    const tensor = scopes.map((s) => s.get(name)).find((t) => t !== undefined);
    if (!tensor || counted.has(tensor) || !isParameter(tensor)) continue;
    counted.add(tensor);
    add({
      parameters: untrained.includes(i) ? 0 : sizeOf(tensor.dims),
      nonzero: untrained.includes(i) ? 0 : nonzeroIn(tensor),
      sizeBytes: byteLengthOf(tensor.type, tensor.dims),
    });
  }
  for (const a of Object.values(n.attributes))
    if (a.kind === "graph") {
      const inner = [constantsOf(a.value), ...scopes];
      for (const m of a.value.nodes) add(parametersOf(m, inner, counted));
    }
  return sum;
}
/** Weights: floats and quantized numbers. int64 is shape arithmetic, bool a mask. */
const isParameter = (t: Tensor): boolean =>
  (isFloat(t.type) || /^(u?int[248]|u?int16|int32|float[468])/.test(t.type)) && t.dims.length > 0;
