/** How threads share out the jobs of a step: a ticket in shared memory, taken atomically. */
import type { Job } from "./job.js";

export interface Shared {
  readonly sets: readonly [readonly Job[], readonly Job[]];
  readonly vector: Float32Array;
  readonly control: Int32Array;
  /** Who ran job j: 0 is the main thread. */
  readonly owners: Int32Array;
}

/** Cells of the control array. The ticket is generation x 2^12 + next job, so that a late thread cannot take a job of a later step. */
export const control = {
  generation: 0,
  ticket: 1,
  count: 2,
  set: 3,
  done: 4,
  stop: 5,
  length: 8,
  generations: 0x3ffff,
} as const;
const jobBits = 12;
export const mostJobs = (1 << jobBits) - 1;

/** Opens the first `count` jobs of a set to all threads. */
export function publish({ control: cells }: Shared, generation: number, set: 0 | 1, count: number): void {
  // Closed first: a late thread of the last step must not see its old ticket together with the new count.
  Atomics.store(cells, control.ticket, (generation << jobBits) | mostJobs);
  Atomics.store(cells, control.count, count);
  Atomics.store(cells, control.set, set);
  Atomics.store(cells, control.done, 0);
  Atomics.store(cells, control.ticket, generation << jobBits);
  Atomics.store(cells, control.generation, generation);
  Atomics.notify(cells, control.generation);
}

/** The next job of this generation for `owner`; null when none is left. */
export function claim({ control: cells, owners }: Shared, generation: number, owner: number): number | null {
  for (;;) {
    const ticket = Atomics.load(cells, control.ticket);
    const j = ticket & mostJobs;
    if (ticket >> jobBits !== generation || j === mostJobs || j >= Atomics.load(cells, control.count)) return null;
    if (Atomics.compareExchange(cells, control.ticket, ticket, ticket + 1) === ticket) {
      owners[j] = owner;
      return j;
    }
  }
}
