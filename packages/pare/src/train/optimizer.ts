/** The optimizer's state: the flat vector, what the update rule remembers, and what it reads and writes in a run. */
import type { NDArray } from "../engine/engine.js";
import type { Update, UpdateOptions } from "../optimizers/update-graph.js";
import { decaying, type Layout } from "./layout.js";

export interface OptimizerState {
  readonly vector: Float32Array;
  readonly slots: readonly Float32Array[];
  /** Updates done. */
  readonly updates: number;
}

/** How strongly each element is drawn to where it should stay. */
export interface Pull {
  readonly strength: Float32Array;
  readonly anchor: Float32Array;
}

/** Two arrays per vector change places at every update: onnxruntime writes one while it reads the other. */
export class Optimizer {
  #now: readonly Float32Array[];
  #next: readonly Float32Array[];
  #updates = 0;
  readonly #decay: Float32Array;
  /** By element, the sum of -gradient x change over the updates so far, where that is recorded. */
  readonly work: Float64Array | null;

  /** `vector`: the starting values. `mask`: 1 where they are trained. `pull`: where the update reads one. */
  constructor(
    readonly layout: Layout,
    readonly options: UpdateOptions,
    readonly update: Pick<Update, "rule" | "names">,
    vector: Float32Array,
    readonly mask: Float32Array,
    readonly pull: Pull | null = null,
    recorded = false,
  ) {
    this.work = recorded ? new Float64Array(layout.vector) : null;
    const zeros = (): Float32Array => new Float32Array(layout.vector);
    const slots = Array.from({ length: update.rule.slots });
    this.#now = [vector, ...slots.map(zeros)];
    this.#next = [zeros(), ...slots.map(zeros)];
    this.#decay = decaying(layout);
    for (let i = 0; i < mask.length; i++) this.#decay[i]! *= mask[i]!;
  }

  /** The parameters as they are. Another array after every update. */
  get vector(): Float32Array {
    return this.#now[0]!;
  }
  get state(): OptimizerState {
    const [vector, ...slots] = this.#now;
    return { vector: vector!, slots, updates: this.#updates };
  }
  restore({ vector, slots, updates }: OptimizerState): void {
    [vector, ...slots].forEach((values, i) => {
      this.#now[i]!.set(values);
    });
    this.#updates = updates;
  }

  /** What an update reads, by name: the vector, the slots, masks. */
  arrays(): Record<string, NDArray> {
    const { names } = this.update;
    const out = this.#named([names.p, ...names.slots], this.#now);
    if (names.mask) out[names.mask] = this.#array(this.mask);
    if (names.decay) out[names.decay] = this.#array(this.#decay);
    if (names.pull && this.pull) {
      out[names.pull] = this.#array(this.pull.strength);
      out[names.anchor] = this.#array(this.pull.anchor);
    }
    return out;
  }
  /** Where it writes. */
  nextArrays(): Record<string, NDArray> {
    const { names } = this.update;
    return this.#named([names.next, ...names.nextSlots], this.#next);
  }
  /** The scalars of the updates that follow, by name, one value for each learning rate. */
  scalars(rates: readonly number[]): Record<string, number[]> {
    const { names, rule } = this.update;
    const out: Record<string, number[]> = {};
    const values = rates.map((rate, i) => rule.scalars(this.#updates + 1 + i, rate));
    names.scalars.forEach((name, k) => {
      out[name] = values.map((list) => list[k]!);
    });
    const { decoupled = 0 } = this.options.weightDecay ?? {};
    if (names.shrink) out[names.shrink] = rates.map((rate) => rate * decoupled);
    return out;
  }
  /** An update has run on the mean of these gradients, and is not the state yet. */
  record(gradients: readonly Float32Array[]): void {
    const { work } = this;
    if (!work) return;
    const [now, next] = [this.#now[0]!, this.#next[0]!];
    for (let i = 0; i < work.length; i++) {
      let sum = 0;
      for (const g of gradients) sum += g[i]!;
      work[i]! -= (sum / gradients.length) * (next[i]! - now[i]!);
    }
  }
  /** So many updates have run, and what they wrote is the state now. */
  advance(updates: number): void {
    [this.#now, this.#next] = [this.#next, this.#now];
    this.#updates += updates;
  }

  /** Other elements are trained from now on; those that are not any more become 0 and forget their state. */
  remask(mask: Float32Array): void {
    const decay = decaying(this.layout);
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === 0 && this.mask[i] !== 0) for (const values of this.#now) values[i] = 0;
      this.mask[i] = mask[i]!;
      this.#decay[i] = decay[i]! * mask[i]!;
    }
  }

  #array(data: Float32Array): NDArray {
    return { type: "float32", dims: [this.layout.vector], data };
  }
  #named(names: readonly string[], arrays: readonly Float32Array[]): Record<string, NDArray> {
    return Object.fromEntries(names.map((name, i) => [name, this.#array(arrays[i]!)]));
  }
}
