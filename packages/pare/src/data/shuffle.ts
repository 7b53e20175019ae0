/** Seeded orders: a count, a seed and an epoch enter, a permutation of 0..count-1 leaves. */
import { Random } from "./random.js";

/** The order of `count` samples in an epoch (Fisher-Yates over Random(seed, epoch)): any epoch's order can be made without the ones before it. */
export function shuffle(count: number, seed: number, epoch = 0): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  const random = new Random(seed, epoch);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
