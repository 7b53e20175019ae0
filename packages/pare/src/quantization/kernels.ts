/** A quantized graph and feeds -> what onnxruntime really runs on integers, by its own profile, and what kept the other planned nodes in float. */
import type { NDArray } from "../engine/engine.js";
import { type KernelRun, kernelRuns } from "../engine/ort-node-profile.js";
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { withBodies } from "../graph/scope.js";
import type { Candidate } from "./eligible.js";
import type { LayerPlan } from "./plan.js";
import { keyOf } from "./wiring.js";

export interface NodeKernel {
  readonly key: string;
  readonly op: string;
  /** Kernel that ran for it; null where none did under its name. */
  readonly kernel: string | null;
  /** In a run of the graph. */
  readonly microseconds: number | null;
  readonly integer: boolean;
  /** Why not on integers; "" where it is. */
  readonly why: string;
}
export interface KernelReport {
  /** Nodes that ran, by kernel, conversions between float and integer among them. */
  readonly kernels: ReadonlyMap<string, number>;
  /** The same nodes by what they work on. */
  readonly counts: Readonly<Record<RanNode["on"], number>>;
  /** Every candidate that can take a format. */
  readonly nodes: readonly NodeKernel[];
  /** How many of `nodes` run on integers. */
  readonly integer: number;
  readonly eligible: number;
}

/** A node as onnxruntime ran it. */
export interface RanNode extends KernelRun {
  /** What the graph's node of this name computes, before it is rounded; null where onnxruntime made the node itself. */
  readonly value: string | null;
  /** The value that carries on what it computes: the rounded one, where it is rounded. */
  readonly key: string | null;
  /** What the kernel works on; conversions go between integers and floats. */
  readonly on: "integers" | "floats" | "conversion";
}

/** Every node that runs, with its time in a run of the graph on one thread, the mean of `repeats`; in a loop that is the sum of its turns. */
export async function ranNodes(
  graph: Graph,
  feeds: Readonly<Record<string, NDArray>>,
  repeats = 1,
): Promise<RanNode[]> {
  const values: string[] = [];
  const rounded = new Map<string, string>();
  const named = { ...graph, ...numbered(graph, values, rounded) };
  const runs = new Map<string, KernelRun>();
  for (const run of await kernelRuns(named, feeds, repeats)) {
    const before = runs.get(run.node)?.microseconds ?? 0;
    runs.set(run.node, { ...run, microseconds: before + run.microseconds / repeats });
  }
  return [...runs.values()].map((run) => {
    const value = values[Number(/^#(\d+)#/.exec(run.node)?.[1])] ?? null;
    const on = onIntegers(run) ? "integers" : conversions.has(run.kernel) ? "conversion" : "floats";
    return { ...run, value, key: value === null ? null : (rounded.get(value) ?? value), on };
  });
}

/** `candidates` and `layers` are those that `quantized` was made by; a float graph with no layers gives its own times, the mean of `repeats` runs. */
export async function kernelsOf(
  quantized: Graph,
  candidates: readonly Candidate[],
  layers: ReadonlyMap<string, Pick<LayerPlan, "format" | "reason">>,
  feeds: Readonly<Record<string, NDArray>>,
  repeats = 5,
): Promise<KernelReport> {
  const kernels = new Map<string, number>();
  const counts = { integers: 0, floats: 0, conversion: 0 };
  const byKey = new Map<string, RanNode>();
  for (const run of await ranNodes(quantized, feeds, repeats)) {
    kernels.set(run.kernel, (kernels.get(run.kernel) ?? 0) + 1);
    counts[run.on]++;
    if (run.key !== null && (!byKey.has(run.key) || run.on === "integers")) byKey.set(run.key, run);
  }
  const nodes = candidates
    .filter((c) => c.formats.length > 0)
    .map((c): NodeKernel => {
      // A product that waits for what is added to it runs under the addition's name.
      const added = byKey.has(c.key)
        ? undefined
        : candidates.find((d) => d.node.op === "Add" && d.node.inputs.includes(c.key));
      const run = byKey.get(c.key) ?? (added && byKey.get(added.key)) ?? null;
      // What multiplies integers here is not what gives the node's value: a Mul and an Add follow.
      if (c.node.op === "Conv" && layers.get(c.key)?.format === "dynamic" && kernels.has("ConvInteger"))
        return { key: c.key, op: c.node.op, kernel: "ConvInteger", microseconds: null, integer: true, why: "" };
      const integer = run?.on === "integers";
      const why = integer ? "" : whyFloat(c, layers.get(c.key), run);
      const [kernel, microseconds] = [run?.kernel ?? null, run?.microseconds ?? null];
      return { key: c.key, op: c.node.op, kernel, microseconds, integer, why };
    });
  return { kernels, counts, nodes, integer: nodes.filter((n) => n.integer).length, eligible: nodes.length };
}

const conversions = new Set(["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast"]);
/** Kernels whose data come as floats and become integers inside. */
const inside = new Set(["DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]);
const onIntegers = (run: KernelRun): boolean =>
  inside.has(run.kernel) ||
  /^(QLinear|QGemm)/.test(run.kernel) ||
  (!conversions.has(run.kernel) && /^u?int8$/.test(run.inputs[0] ?? ""));

function whyFloat(
  { why }: Candidate,
  layer: Pick<LayerPlan, "format" | "reason"> | undefined,
  run: KernelRun | null,
): string {
  if (!layer || layer.format === "float") return `kept in float: ${layer?.reason || why || "not in the plan"}`;
  if (layer.format.startsWith("weights") || layer.format === "float16")
    return `${layer.format}: only its weights are stored in fewer bits`;
  if (layer.format === "int16")
    return "onnxruntime has no kernels for 16-bit activations: it computes in float between roundings";
  if (!run) return "it did not run with these inputs, or onnxruntime merged it with a neighbour";
  return `onnxruntime ran ${run.kernel} on floats: it found no QuantizeLinear and DequantizeLinear around all that the node reads and gives`;
}

/** The graph with nodes named by number; the number's value goes to `values`, and what it is called once rounded to `rounded`. */
function numbered(body: Subgraph, values: string[], rounded: Map<string, string>): Subgraph {
  addRounded(body, rounded);
  const nodes = body.nodes.map((n): Node => {
    const inner = withBodies(n, (b) => numbered(b, values, rounded));
    return { ...inner, name: `#${values.push(keyOf(n)) - 1}#` };
  });
  return { ...body, nodes };
}
/** Value before QuantizeLinear -> value after DequantizeLinear. */
function addRounded(body: Subgraph, names: Map<string, string>): void {
  const source = new Map<string, string>();
  for (const n of body.nodes) {
    if (n.op === "QuantizeLinear") source.set(n.outputs[0]!, n.inputs[0]!);
    const from = n.op === "DequantizeLinear" ? source.get(n.inputs[0]!) : undefined;
    if (from !== undefined) names.set(from, n.outputs[0]!);
  }
}
