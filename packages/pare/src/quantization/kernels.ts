/** A quantized graph and feeds -> which of its planned nodes onnxruntime really runs on integers, and what kept the others in float. */
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
  /** Its shortest run of several. */
  readonly microseconds: number | null;
  readonly integer: boolean;
  /** Why not on integers; "" where it is. */
  readonly why: string;
}
export interface KernelReport {
  /** Nodes that ran, by kernel, conversions between float and integer among them. */
  readonly kernels: ReadonlyMap<string, number>;
  /** Every candidate that can take a format. */
  readonly nodes: readonly NodeKernel[];
  /** How many of `nodes` run on integers. */
  readonly integer: number;
  readonly eligible: number;
}

/** Runs of which the shortest counts. */
const repeats = 5;

/** `candidates` and `layers` are those that `quantized` was made by; a float graph with no layers gives its own times. */
export async function kernelsOf(
  quantized: Graph,
  candidates: readonly Candidate[],
  layers: ReadonlyMap<string, LayerPlan>,
  feeds: Readonly<Record<string, NDArray>>,
): Promise<KernelReport> {
  const keys: string[] = [];
  const named = { ...quantized, ...numbered(quantized, keys) };
  const runs = new Map<string, KernelRun>();
  for (const run of await kernelRuns(named, feeds, repeats)) {
    const before = runs.get(run.node);
    if (!before || run.microseconds < before.microseconds) runs.set(run.node, run);
  }
  const kernels = new Map<string, number>();
  const byKey = new Map<string, KernelRun>();
  for (const run of runs.values()) {
    kernels.set(run.kernel, (kernels.get(run.kernel) ?? 0) + 1);
    const key = keys[Number(/^#(\d+)#/.exec(run.node)?.[1])];
    const better = key !== undefined && (!byKey.has(key) || onIntegers(run));
    if (better) byKey.set(key, run);
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
      const integer = run !== null && onIntegers(run);
      const why = integer ? "" : whyFloat(c, layers.get(c.key), run);
      const [kernel, microseconds] = [run?.kernel ?? null, run?.microseconds ?? null];
      return { key: c.key, op: c.node.op, kernel, microseconds, integer, why };
    });
  return { kernels, nodes, integer: nodes.filter((n) => n.integer).length, eligible: nodes.length };
}

const conversions = new Set(["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast"]);
/** Kernels whose data come as floats and become integers inside. */
const inside = new Set(["DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]);
const onIntegers = (run: KernelRun): boolean =>
  inside.has(run.kernel) ||
  /^(QLinear|QGemm)/.test(run.kernel) ||
  (!conversions.has(run.kernel) && /^u?int8$/.test(run.inputs[0] ?? ""));

function whyFloat({ why }: Candidate, layer: LayerPlan | undefined, run: KernelRun | null): string {
  if (!layer || layer.format === "float") return `kept in float: ${layer?.reason || why || "not in the plan"}`;
  if (layer.format.startsWith("weights") || layer.format === "float16")
    return `${layer.format}: only its weights are stored in fewer bits`;
  if (layer.format === "int16")
    return "onnxruntime has no kernels for 16-bit activations: it computes in float between roundings";
  if (!run) return "it did not run with these inputs, or onnxruntime merged it with a neighbour";
  return `onnxruntime ran ${run.kernel} on floats: it found no QuantizeLinear and DequantizeLinear around all that the node reads and gives`;
}

/** The graph with nodes named by number, and the number's layer in `keys`: the value that carries what the node computes, rounded or not. */
function numbered(body: Subgraph, keys: string[]): Subgraph {
  const rounded = roundedNames(body);
  const nodes = body.nodes.map((n): Node => {
    const inner = withBodies(n, (b) => numbered(b, keys));
    const raw = keyOf(n);
    return { ...inner, name: `#${keys.push(rounded.get(raw) ?? raw) - 1}#` };
  });
  return { ...body, nodes };
}
/** Value before QuantizeLinear -> value after DequantizeLinear. */
function roundedNames(body: Subgraph): Map<string, string> {
  const source = new Map<string, string>();
  const names = new Map<string, string>();
  for (const n of body.nodes) {
    if (n.op === "QuantizeLinear") source.set(n.outputs[0]!, n.inputs[0]!);
    const from = n.op === "DequantizeLinear" ? source.get(n.inputs[0]!) : undefined;
    if (from !== undefined) names.set(from, n.outputs[0]!);
  }
  return names;
}
