/** Graphs -> milliseconds per run, one graph after the other in every round, so that they share the machine's moods. */
import { PareError } from "../graph/error.js";
import { feeds, type Graph, type Value } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { arrays } from "./arrays.js";
import { cpuMs } from "./clock.js";
import type { Engine, NDArray } from "./engine.js";

export interface LatencyOptions {
  /** Counted runs of each graph; a fifth of that, at least 3, go before as warm-up. */
  readonly runs: number;
  /** No further round begins after these milliseconds, warm-up included, once each graph has run twice. */
  readonly withinMs?: number;
  readonly threads?: number;
  /** What is measured: the time that passes unless told otherwise, or the time that this process computes, which others on the machine disturb less. */
  readonly clock?: "wall" | "cpu";
  /** Dims of inputs by name; open dims that are not named here are 1. */
  readonly dims?: Readonly<Record<string, readonly number[]>>;
  /** Arrays to feed instead of made ones, by input. */
  readonly feeds?: Readonly<Record<string, NDArray>>;
  readonly onRun?: (run: number) => void;
}
export interface Latency {
  readonly minMs: number;
  readonly medianMs: number;
  readonly maxMs: number;
}

/** A plausible array for an input: floats spread over -1..1, everything else zero. Throws for strings and sequences. */
export function sampleInput(value: Value, dims?: readonly number[]): NDArray {
  const shape = dims ?? value.shape?.map((d) => (typeof d === "number" ? d : 1));
  const ArrayOf = arrays[value.type];
  if (!shape || !ArrayOf)
    throw new PareError(
      `input "${value.name}": no sample can be made of type ${value.type} with shape ${shape ? `[${shape}]` : "unknown"}; name its dims`,
    );
  if (dims && value.shape && dims.length !== value.shape.length) {
    throw new PareError(`input "${value.name}" has shape [${value.shape}], the given dims are [${dims}]`, "usage");
  }
  const data = new ArrayOf(sizeOf(shape));
  if (data instanceof Float32Array || data instanceof Float64Array) {
    for (let i = 0; i < data.length; i++) data[i] = Math.sin(i * 12.9898);
  }
  return { type: value.type, dims: [...shape], data };
}

export async function latency(engine: Engine, graphs: readonly Graph[], options: LatencyOptions): Promise<Latency[]> {
  const known = new Set(graphs.flatMap((g) => feeds(g).map((v) => v.name)));
  const stranger = Object.keys(options.dims ?? {}).find((name) => !known.has(name));
  if (stranger !== undefined)
    throw new PareError(`no input is called "${stranger}"; inputs: ${[...known].join(", ")}`, "usage");
  const now = options.clock === "cpu" ? cpuMs : () => performance.now();
  const sessions = await Promise.all(graphs.map((g) => engine.load(g, { threads: options.threads ?? 1 })));
  try {
    const inputs = graphs.map((g) =>
      Object.fromEntries(
        feeds(g).map((v) => [v.name, options.feeds?.[v.name] ?? sampleInput(v, options.dims?.[v.name])]),
      ),
    );
    const times = graphs.map((): number[] => []);
    const warmUp = Math.max(3, Math.ceil(options.runs / 5));
    const { runs, withinMs = Number.POSITIVE_INFINITY, onRun } = options;
    const began = now();
    const isOver = (): boolean => now() - began > withinMs;
    for (let round = 0, counted = 0; counted < runs && !(counted > 0 && isOver()); round++) {
      const warm = round === 0 || (round < warmUp && !isOver());
      for (const [i, session] of sessions.entries()) {
        const start = now();
        await session.run(inputs[i]!);
        if (!warm) times[i]!.push(now() - start);
      }
      if (warm) continue;
      counted++;
      onRun?.(counted);
    }
    return times.map((t) => {
      t.sort((a, b) => a - b);
      const middle = t.length >> 1;
      const medianMs = t.length % 2 ? t[middle]! : (t[middle - 1]! + t[middle]!) / 2;
      return { minMs: t[0]!, medianMs, maxMs: t.at(-1)! };
    });
  } finally {
    await Promise.all(sessions.map((s) => s.release()));
  }
}
