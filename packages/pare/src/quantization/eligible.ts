/** Graph -> for every node, bodies included, the formats it can take on a target, or why it can take none. */
import type { Graph, Node } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import { isNone } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { fusedInFloat } from "./fused-float.js";
import type { Format, Target } from "./plan.js";
import { dataInputs, integerSupport } from "./support.js";
import { type Placed, type Wiring, wiringOf } from "./wiring.js";

export interface Candidate {
  /** The node's first output, by which a plan names it. */
  readonly key: string;
  readonly node: Node;
  /** passes: it needs no entry in a plan; it follows its neighbours. */
  readonly role: "weights" | "arithmetic" | "passes" | "none";
  /** What it can become beside float; empty: nothing. */
  readonly formats: readonly Format[];
  /** Inputs that hold constants worth storing in fewer bits. */
  readonly weights: readonly number[];
  /** Why not more formats than these, in words for the user; "" where there is nothing to say. */
  readonly why: string;
  /** No product that could be done on integers comes after it, nor is it one: rounding its answer helps nothing along. */
  readonly last: boolean;
}

/** Below this a constant's float32 bytes are fewer than what a scale and a node cost. */
const smallestWeight = 64;

const known = new WeakMap<Graph, Map<Target, readonly Candidate[]>>();

/** Found once per graph and target. */
export function eligibleNodes(graph: Graph, target: Target): readonly Candidate[] {
  let targets = known.get(graph);
  if (!targets) known.set(graph, (targets = new Map()));
  let candidates = targets.get(target);
  if (!candidates) {
    const wiring = wiringOf(graph);
    const fused = fusedInFloat(wiring);
    candidates = marked(
      graph,
      wiring,
      wiring.nodes.map((at) => candidate(at, wiring, target, fused.get(at.key))),
    );
    targets.set(target, candidates);
  }
  return candidates;
}

/** With those marked that come last; nodes of bodies and those that have some never do, for what they compute may come round again. */
function marked(graph: Graph, { nodes }: Wiring, candidates: readonly Unmarked[]): Candidate[] {
  const ahead = new Set<string>();
  const last = new Set<string>();
  for (const [i, { key, node, body }] of [...nodes.entries()].reverse()) {
    const product = candidates[i]!.role === "weights" && candidates[i]!.formats.includes("int8");
    const before = product || body !== graph || bodiesOf(node).length > 0 || node.outputs.some((o) => ahead.has(o));
    if (before) for (const input of node.inputs) ahead.add(input);
    else last.add(key);
  }
  return candidates.map((c) => ({ ...c, last: last.has(c.key) }));
}
type Unmarked = Omit<Candidate, "last">;

/** `group`: what it belongs to that is one float kernel. */
function candidate(at: Placed, wiring: Wiring, target: Target, group: string | undefined): Unmarked {
  const { key, node } = at;
  const not = (why: string): Unmarked => ({ key, node, role: "none", formats: [], weights: [], why });
  if (bodiesOf(node).length > 0) return not("its bodies are quantized, not it");
  const record = recordOf(node);
  if (!record) return not(`Pare does not know the operator ${node.domain ? `${node.domain}.` : ""}${node.op}`);
  if (isNone(record.quant)) return not(record.quant.none);
  const weights = weightInputs(node).filter((i) => isWeight(node.inputs[i], wiring));
  const small = weightInputs(node).some((i) => wiring.constants.has(node.inputs[i] ?? "")) && weights.length === 0;
  const stored: Format[] = weights.length > 0 ? ["weights8", "weights4", "float16"] : [];
  const fused = group && `onnxruntime computes the ${group} that it belongs to in one float kernel`;
  const why = fused ?? whyNotInteger(at, wiring, target);
  const integer: Format[] = why === null ? ["int8", "int16"] : [];
  const noDynamic = whyNotDynamic(at, wiring, target);
  const dynamic: Format[] = noDynamic === null ? ["dynamic"] : [];
  const formats = [...integer, ...dynamic, ...stored];
  const support = integerSupport(node);
  if (weights.length === 0 && (support?.role === "passes" || support?.role === "absorbed"))
    return {
      key,
      node,
      role: "passes",
      formats: [],
      weights,
      why: "it moves or bounds values: it follows its neighbours",
    };
  const role = weights.length > 0 || record.quant === "weights" ? "weights" : record.quant;
  const weightless = small
    ? "its constant is too small to gain from fewer bits"
    : "its weights are computed while running";
  const words = [why, role === "weights" && stored.length === 0 ? weightless : null];
  return { key, node, role, formats, weights, why: words.filter(Boolean).join("; ") };
}

/** Inputs where an operator keeps what it learned. */
const learned: Readonly<Record<string, readonly number[]>> = {
  MatMul: [0, 1],
  Gemm: [0, 1],
  LSTM: [1, 2],
  GRU: [1, 2],
  RNN: [1, 2],
  Gather: [0],
};
const weightInputs = (node: Node): readonly number[] =>
  node.domain !== ""
    ? []
    : (learned[node.op] ?? (recordOf(node)?.quant === "weights" ? node.inputs.map((_, i) => i) : []));

function isWeight(name: string | undefined, wiring: Wiring): boolean {
  const tensor = wiring.constants.get(name ?? "")?.tensor;
  return tensor?.type === "float32" && tensor.dims.length >= 2 && sizeOf(tensor.dims) >= smallestWeight;
}

/** null: its arithmetic can be done on integers with ranges from calibration. */
export function whyNotInteger(at: Placed, wiring: Wiring, target: Target): string | null {
  const { node } = at;
  if (target === "ort-web-webgpu") return "onnxruntime-web has no integer kernels for WebGPU";
  const support = integerSupport(node);
  if (!support) return `onnxruntime has no integer kernel for ${node.op}`;
  const data = dataInputs(node, support);
  const other = data.find((i) => wiring.typeOf(node.inputs[i]!)?.type !== "float32");
  if (other !== undefined)
    return `its input ${other} is ${wiring.typeOf(node.inputs[other]!)?.type ?? "of unknown type"}`;
  if (data.every((i) => wiring.constants.has(node.inputs[i]!))) return "it reads constants only";
  if (support.role !== "product") return null;
  const bias = support.bias === undefined ? "" : (node.inputs[support.bias] ?? "");
  if (support.bias !== undefined && !wiring.constants.has(node.inputs[1]!))
    return "its weight is computed while running";
  if (bias && !wiring.constants.has(bias)) return "its bias is computed while running";
  if (node.op !== "Gemm") return null;
  const number = (name: string) => (node.attributes[name]?.kind === "float" ? node.attributes[name].value : 1);
  if (number("alpha") !== 1 || (bias && number("beta") !== 1))
    return "onnxruntime's integer Gemm takes no alpha or beta beside 1";
  if (bias && wiring.constants.get(bias)!.tensor.dims.length > 1 && wiring.constants.get(bias)!.tensor.dims[0] !== 1)
    return "its bias is a matrix";
  return null;
}

/** null: its weights can be integers while the ranges of its data are measured at run time. */
export function whyNotDynamic(at: Placed, wiring: Wiring, target: Target): string | null {
  const { node } = at;
  if (target === "ort-web-webgpu") return "onnxruntime-web has no integer kernels for WebGPU";
  const constant = (i: number) => isWeight(node.inputs[i], wiring);
  const flag = (name: string) => (node.attributes[name]?.kind === "int" ? Number(node.attributes[name].value) : 0);
  switch (node.domain === "" ? node.op : "") {
    case "MatMul":
      if (!constant(1)) return "both of its inputs are computed while running";
      return wiring.constants.get(node.inputs[1]!)!.tensor.dims.length === 2
        ? null
        : "its weight is a stack of matrices";
    case "Gemm":
      if (!constant(1) || flag("transA")) return "its weight is not constant, or its data are transposed";
      return whyNotInteger(at, wiring, target);
    case "Conv":
      return constant(1) ? null : "its weight is computed while running or too small";
    case "LSTM":
      if (target === "pare") return "only onnxruntime has an LSTM on integers";
      if (flag("layout")) return "onnxruntime's integer LSTM has no batch-first layout";
      return constant(1) && constant(2) ? null : "its weights are computed while running or too small";
    default:
      return `onnxruntime has no kernel for ${node.op} that measures ranges at run time`;
  }
}
