/** What a quantization says of itself: the search's result enters, facts for the user and for --json leave. */
import type { z } from "zod";
import { compare } from "../compare.js";
import type { Graph } from "../graph/graph.js";
import type { Candidate } from "../quantization/eligible.js";
import type { KernelReport } from "../quantization/kernels.js";
import { dropOf, type Limits, ratiosToFloat } from "./limits.js";
import type { quantization } from "./schema.js";
import type { Searched } from "./search.js";
import type { Choices, Workbench } from "./workbench.js";

export const formats = ["auto", "int8", "dynamic", "int4", "weights8", "float16"] as const;

export type QuantizationFacts = Omit<z.infer<typeof quantization>, "peakBytes">;

type Limit = QuantizationFacts["limits"][number];
/** What was asked for and what was reached, limit by limit. */
export async function limitFacts(
  plain: Workbench,
  found: Searched,
  { maxDrop, maxBytes, maxLatency }: Limits,
  stopped: boolean,
  sizeBytes: number,
): Promise<Limit[]> {
  const limit = (name: Limit["name"], allowed: number | undefined, reached: number | null): Limit[] =>
    allowed === undefined ? [] : [{ name, allowed, reached, held: reached !== null && reached <= allowed }];
  const timed = maxLatency !== undefined && !stopped;
  return [
    ...limit("max-drop", maxDrop, dropOf(found.best)),
    ...limit("max-bytes", maxBytes, sizeBytes),
    ...limit("max-latency", maxLatency, timed ? (await ratiosToFloat(plain, [found]))[0]! : null),
  ];
}
/** Why a limit is not held, in words for the user. */
export function missed({ name, allowed, reached }: Limit): string {
  if (reached === null) return `${name} was not measured: the search was stopped`;
  return `${name} ${allowed} cannot be met: the nearest that was found has ${Number(reached.toPrecision(4))}`;
}

/** What a search among integers ended with. */
export function widest(choices: Choices): "int8" | "dynamic" | "weights8" {
  const used = new Set([...choices.values()].map((c) => c.format));
  return used.has("int8") ? "int8" : used.has("dynamic") ? "dynamic" : "weights8";
}

/** What onnxruntime runs of the result, as it says itself; null where the search was stopped, there are no samples, or another runtime is meant. */
async function ranOf({ bench, best }: Searched, result: Graph, stopped: boolean): Promise<KernelReport | null> {
  const { engine, samples, target } = bench;
  if (stopped || !samples || target !== "ort-node" || engine.name !== "onnxruntime-node") return null;
  const { kernelsOf } = await import("../quantization/kernels.js");
  return kernelsOf(result, bench.candidates, best.attempt.choices, samples.feeds(0), 1);
}

const stays = ({ last }: Candidate): string =>
  last
    ? "no product comes after it: on integers it would only lose"
    : "its arithmetic stays in float: only products run on integers";

/** What became of every layer that could take a format, and what runs of the result. */
export async function layerFacts(
  found: Searched,
  result: Graph,
  candidates: readonly Candidate[],
  stopped: boolean,
): Promise<Pick<QuantizationFacts, "layers" | "kernels">> {
  const { bench, best } = found;
  const ran = await ranOf(found, result, stopped);
  const kernelOf = new Map(ran?.nodes.map((n) => [n.key, n.kernel]));
  const snr = new Map<string, number | null>();
  if (bench.reference && !stopped) {
    const { layers, outputs } = await compare(bench.net, result, bench.reference.few(4), {
      engine: bench.engine,
      labels: false,
    });
    for (const l of [...layers, ...outputs]) snr.set(l.name, l.snrDb);
  }
  const layers = candidates
    .filter((c) => c.formats.length > 0)
    .map((c) => {
      const choice = best.attempt.choices.get(c.key);
      return {
        name: c.node.name || c.key,
        op: c.node.op,
        format: choice?.format ?? "float",
        reason: choice?.reason ?? (c.why || stays(c)),
        snrDb: snr.get(c.key) ?? null,
        kernel: kernelOf.get(c.key) ?? null,
      };
    });
  return { layers, kernels: ran?.counts ?? null };
}
