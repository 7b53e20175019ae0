/** A graph, values of it and samples enter; the values themselves leave, for as many samples as memory allows. */
import type { Samples } from "../data/samples.js";
import { spread } from "../data/views.js";
import type { Engine, NDArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { byteLengthOf } from "../graph/tensor.js";
import { withOutputs } from "./outputs.js";

export interface CollectOptions {
  readonly engine: Engine;
  /** Of everything that is returned. */
  readonly limitBytes: number;
  /** At most this many samples. */
  readonly limit?: number;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}
/** One sample: its index, and the wanted values by name. */
export interface Collected {
  readonly index: number;
  readonly values: Readonly<Record<string, NDArray>>;
}

/**
 * Values of the main graph for samples evenly spread over all, one sample at least; the first one's size says how many fit. Throws where
 * the graph computes no such value, or a single sample is larger than the limit.
 */
export async function collect(
  graph: Graph,
  names: readonly string[],
  samples: Samples,
  options: CollectOptions,
): Promise<Collected[]> {
  if (samples.length < 1) throw new PareError(`${samples.name}: no samples`);
  const session = await options.engine.load(withOutputs(graph, names), { threads: options.threads ?? 1 });
  try {
    const at = async (index: number): Promise<Collected> => {
      options.signal?.throwIfAborted();
      return { index, values: await session.run(samples.feeds(index), names) };
    };
    const first = await at(0);
    const bytes = bytesOf(first);
    if (bytes > options.limitBytes)
      throw new PareError(
        `${samples.name}: the values of one sample take ${bytes} bytes, ${options.limitBytes} are allowed: ask for fewer values`,
        "usage",
      );
    const fit = Math.floor(options.limitBytes / Math.max(1, bytes));
    const out = [first];
    let held = bytes;
    for (const index of spread(samples.length, Math.min(fit, options.limit ?? samples.length)).subarray(1)) {
      const next = await at(index);
      held += bytesOf(next);
      // Samples of other shapes may be larger than the first.
      if (held > options.limitBytes) break;
      out.push(next);
    }
    return out;
  } finally {
    await session.release();
  }
}

const bytesOf = ({ values }: Collected): number =>
  Object.values(values).reduce((sum, { type, dims }) => sum + byteLengthOf(type, dims), 0);
