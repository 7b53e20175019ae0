/** What the data modules share: samples as data modules yield them, and choosing some of a list. */
import type { Sample } from "../../../packages/pare/dist/data/module-samples.js";

export type { Sample } from "../../../packages/pare/dist/data/module-samples.js";
/** Runs that follow one another: the state that a run leaves goes into the next one. Only the first run of a recording has states. */
export type Recording = readonly Sample[];

/** `count` of `all`, evenly spread, the first one included. */
export const spread = <T>(all: readonly T[], count: number): T[] =>
  count >= all.length ? [...all] : Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);

/** Every item through `make`, when it is asked for. */
export const each = <T>(items: readonly T[], make: (item: T) => Sample) => ({
  length: items.length,
  sample: (i: number): Sample => make(items[i]!),
  *[Symbol.iterator](): Generator<Sample> {
    for (const item of items) yield make(item);
  },
});

/** Numbers in 0..1, the same for the same seed (mulberry32). */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
