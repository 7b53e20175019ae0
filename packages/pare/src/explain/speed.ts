/** Two models and feeds enter; how long each takes, and what keeps parts of the quantized one in float, leave. */
import type { Engine, NDArray } from "../engine/engine.js";
import { latency } from "../engine/latency.js";
import type { Graph, Node } from "../graph/graph.js";
import type { Candidate } from "../quantization/eligible.js";
import { ranNodes } from "../quantization/kernels.js";
import { integerSupport } from "../quantization/support.js";
import type { Wiring } from "../quantization/wiring.js";
import type { RoundedValue, Site } from "./sites.js";

export interface Slow {
  readonly op: string;
  /** How many such nodes. */
  readonly count: number;
  /** Of the quantized model's time, 0..1. */
  readonly share: number;
  readonly why: string;
}
export interface Speed {
  /** Milliseconds per run on one thread. */
  readonly latencyMs: readonly [float: number, quantized: number];
  /** Share of the time that is spent on integers, and on changing between integers and floats. */
  readonly integerShare: number;
  readonly conversionShare: number;
  /** What runs in float, by operator and reason, the longest first. */
  readonly float: readonly Slow[];
}

export async function speedOf(
  models: readonly [Graph, Graph],
  feeds: Readonly<Record<string, NDArray>>,
  engine: Engine,
  { wiring, sites }: { readonly wiring: Wiring; readonly sites: readonly Site[] },
  candidates: readonly Candidate[],
): Promise<Speed> {
  const [once] = await latency(engine, models.slice(0, 1), { runs: 3, feeds });
  const runs = Math.max(5, Math.min(100, Math.round(500 / Math.max(0.01, once!.medianMs))));
  const [a, b] = await latency(engine, models, { runs, feeds });
  const ran = await ranNodes(models[1], feeds);
  const total = ran.reduce((sum, r) => sum + r.microseconds, 0) || 1;
  const values = sites.filter((s): s is RoundedValue => s.kind === "value");
  const reasons = new Map(candidates.map((c) => [c.key, c]));
  const slow = new Map<string, { op: string; count: number; share: number; why: string }>();
  let [integer, converting] = [0, 0];
  for (const run of ran) {
    const share = run.microseconds / total;
    if (run.on === "integers") integer += share;
    else if (run.on === "conversion") converting += share;
    else {
      const node = wiring.producer.get(run.value ?? "")?.node;
      const op = node?.op ?? run.kernel;
      const candidate = reasons.get(run.value ?? "") ?? reasons.get(run.key ?? "");
      const why = whyFloat(node, candidate, values);
      const known = slow.get(`${op} ${why}`) ?? { op, count: 0, share: 0, why };
      slow.set(`${op} ${why}`, { ...known, count: known.count + 1, share: known.share + share });
    }
  }
  const float = [...slow.values()].sort((x, y) => y.share - x.share);
  return { latencyMs: [a!.medianMs, b!.medianMs], integerShare: integer, conversionShare: converting, float };
}

function whyFloat(node: Node | undefined, candidate: Candidate | undefined, values: readonly RoundedValue[]): string {
  if (!node) return "onnxruntime made it of several nodes";
  if (!integerSupport(node)) return `onnxruntime has no integer kernel for ${node.op}`;
  if (candidate && !candidate.formats.includes("int8") && candidate.why) return candidate.why;
  const rounded = values.find((v) => node.inputs.includes(v.rounded));
  if (rounded?.type === "int16" || rounded?.type === "uint16")
    return "its activations have 16 bits, for which there are no kernels: it computes in float between roundings";
  if (rounded?.type === "int8")
    return "its activations are signed: onnxruntime on x64 keeps such nodes in float between roundings; unsigned ones (uint8) run on integers";
  if (rounded)
    return "its output, or another of its inputs, is not rounded: onnxruntime runs a node on integers only between QuantizeLinear and DequantizeLinear on all sides";
  return "its inputs are not rounded: it was kept in float when the model was quantized";
}
