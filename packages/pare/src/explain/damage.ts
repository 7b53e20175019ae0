/** A switched graph and samples enter; how much noise each place that rounds brings to the outputs, alone and all together, leaves. */
import { Tally, together } from "../compare/tally.js";
import type { Samples } from "../data/samples.js";
import type { Engine, NDArray } from "../engine/engine.js";
import type { Graph } from "../graph/graph.js";

export interface Damage {
  /** Noise to signal at the outputs by site; null: not measured. */
  readonly alone: readonly (number | null)[];
  /** All of them, computed in float between roundings. */
  readonly together: number;
}
export interface DamageOptions {
  readonly engine: Engine;
  readonly outputs: readonly string[];
  /** The sites in the order in which they are measured while there is time. */
  readonly order: readonly number[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (p: { readonly done: number; readonly of: number }) => void;
}

const patienceMs = 20_000;
const mostSamples = 8;

const bool = (on: boolean): NDArray => ({ type: "bool", dims: [], data: Uint8Array.of(on ? 1 : 0) });

/** Samples with all switches as `on` says. */
export const withSwitches = (samples: Samples, switches: readonly string[]): Samples => {
  const off = Object.fromEntries(switches.map((name) => [name, bool(false)]));
  return {
    name: samples.name,
    length: samples.length,
    label: (i) => samples.label(i),
    feeds: (i) => ({ ...samples.feeds(i), ...off }),
    batch: (indices) => {
      const together = samples.batch(indices);
      return together && { ...together, ...off };
    },
  };
};

export async function damageOf(
  { graph, switches }: { readonly graph: Graph; readonly switches: readonly string[] },
  samples: Samples,
  options: DamageOptions,
): Promise<Damage> {
  const session = await options.engine.load(graph);
  try {
    const feeds = (i: number, on: (site: number) => boolean) => ({
      ...samples.feeds(i),
      ...Object.fromEntries(switches.map((name, site) => [name, bool(on(site))])),
    });
    await session.run(
      feeds(0, () => false),
      options.outputs,
    );
    const started = performance.now();
    const answers = [
      await session.run(
        feeds(0, () => false),
        options.outputs,
      ),
    ];
    const perRun = performance.now() - started;
    const affordable = Math.floor(patienceMs / perRun / (options.order.length + 2));
    const count = Math.max(1, Math.min(mostSamples, affordable, samples.length));
    const at = (k: number) => Math.floor((k * samples.length) / count);
    for (let k = 1; k < count; k++)
      answers.push(
        await session.run(
          feeds(at(k), () => false),
          options.outputs,
        ),
      );
    const noise = async (on: (site: number) => boolean): Promise<number> => {
      const tallies = options.outputs.map((name) => new Tally(name));
      for (const [k, answer] of answers.entries()) {
        const other = await session.run(feeds(at(k), on), options.outputs);
        for (const t of tallies) t.add(answer[t.name]!, other[t.name]!);
      }
      const db = together(tallies);
      return db === null ? 0 : 10 ** (-db / 10);
    };
    const alone = new Array<number | null>(switches.length).fill(null);
    const all = await noise(() => true);
    for (const [done, site] of options.order.entries()) {
      options.signal?.throwIfAborted();
      if (performance.now() - started > 1.5 * patienceMs) break;
      alone[site] = await noise((other) => other === site);
      options.onProgress?.({ done: done + 1, of: options.order.length });
    }
    return { alone, together: all };
  } finally {
    await session.release();
  }
}
