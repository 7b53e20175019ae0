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
/** What one update reads and where it writes, by name. */
export interface Bindings {
  readonly feeds: Readonly<Record<string, NDArray>>;
  readonly into: Readonly<Record<string, NDArray>>;
}

/** Two arrays per vector change places at every update: onnxruntime writes one while it reads the other. */
export class Optimizer {
  #now: readonly Float32Array[];
  #next: readonly Float32Array[];
  #updates = 0;
  readonly #decay: Float32Array;

  /** `vector`: the starting values. `mask`: 1 where they are trained. */
  constructor(
    readonly layout: Layout,
    readonly options: UpdateOptions,
    readonly update: Pick<Update, "rule" | "names">,
    vector: Float32Array,
    readonly mask: Float32Array,
  ) {
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

  /** For an update by the mean of `count` gradients at this learning rate. */
  bindings(count: number, rate: number): Bindings {
    const { names, rule } = this.update;
    const vector = (data: Float32Array): NDArray => ({ type: "float32", dims: [this.layout.vector], data });
    const scalar = (value: number): NDArray => ({ type: "float32", dims: [], data: Float32Array.of(value) });
    const feeds: Record<string, NDArray> = {};
    const into: Record<string, NDArray> = {};
    [names.p, ...names.slots].forEach((name, i) => {
      feeds[name] = vector(this.#now[i]!);
    });
    [names.next, ...names.nextSlots].forEach((name, i) => {
      into[name] = vector(this.#next[i]!);
    });
    rule.scalars(this.#updates + 1, rate).forEach((value, i) => {
      feeds[names.scalars[i]!] = scalar(value);
    });
    if (names.scale) feeds[names.scale] = scalar(1 / count);
    if (names.mask) feeds[names.mask] = vector(this.mask);
    if (names.decay) feeds[names.decay] = vector(this.#decay);
    if (names.shrink) feeds[names.shrink] = scalar(rate * this.options.weightDecay!.decoupled!);
    return { feeds, into };
  }
  /** The update that the last bindings were for has run. */
  advance(): void {
    [this.#now, this.#next] = [this.#next, this.#now];
    this.#updates++;
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
}
