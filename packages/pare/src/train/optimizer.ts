/** The optimizer at work: gradients of a step's jobs come in, the flat vector moves. Holds all state that a checkpoint keeps. */
import type { Engine, NDArray, Session } from "../engine/engine.js";
import { type UpdateOptions, updateGraph } from "../optimizers/update-graph.js";
import { decaying, type Layout } from "./layout.js";

export interface OptimizerState {
  readonly vector: Float32Array;
  readonly slots: readonly Float32Array[];
  /** Updates done. */
  readonly updates: number;
}

export class Optimizer {
  #vector: Float32Array;
  #spare: Float32Array;
  #slots: Float32Array[];
  #spareSlots: Float32Array[];
  #updates = 0;
  readonly #zeros: Float32Array;
  readonly #decay: Float32Array;

  private constructor(
    readonly layout: Layout,
    readonly options: UpdateOptions,
    readonly session: Session,
    readonly rule: ReturnType<typeof updateGraph>["rule"],
    vector: Float32Array,
    readonly mask: Float32Array,
  ) {
    const slots = (): Float32Array[] => Array.from({ length: rule.slots }, () => new Float32Array(layout.vector));
    this.#vector = vector;
    this.#spare = new Float32Array(layout.vector);
    this.#slots = slots();
    this.#spareSlots = slots();
    this.#zeros = new Float32Array(layout.vector);
    this.#decay = decaying(layout);
    for (let i = 0; i < mask.length; i++) this.#decay[i]! *= mask[i]!;
  }

  /** `vector`: the starting values. `mask`: 1 where they are trained. */
  static async start(
    layout: Layout,
    options: Omit<UpdateOptions, "length" | "masked">,
    engine: Engine,
    vector: Float32Array,
    mask: Float32Array,
  ): Promise<Optimizer> {
    const all: UpdateOptions = { ...options, length: layout.vector, masked: true };
    const { graph, rule } = updateGraph(all);
    return new Optimizer(layout, all, await engine.load(graph), rule, vector, mask);
  }

  /** The parameters as they are. Another array after every step. */
  get vector(): Float32Array {
    return this.#vector;
  }
  get state(): OptimizerState {
    return { vector: this.#vector, slots: this.#slots, updates: this.#updates };
  }
  restore(state: OptimizerState): void {
    this.#vector.set(state.vector);
    this.#slots.forEach((s, i) => {
      s.set(state.slots[i]!);
    });
    this.#updates = state.updates;
  }

  /** Moves the vector by the mean of the first `count` gradients. */
  async step(gradients: readonly Float32Array[], count: number, rate: number): Promise<void> {
    const { rule, options } = this;
    const n = [this.layout.vector];
    const array = (data: Float32Array): NDArray => ({ type: "float32", dims: n, data });
    const scalar = (value: number): NDArray => ({ type: "float32", dims: [], data: Float32Array.of(value) });
    const feeds: Record<string, NDArray> = { p: array(this.#vector), scale: scalar(1 / count), mask: array(this.mask) };
    for (let j = 0; j < options.gradients; j++) feeds[`g${j}`] = array(j < count ? gradients[j]! : this.#zeros);
    rule.scalars(this.#updates + 1, rate).forEach((c, i) => {
      feeds[`c${i}`] = scalar(c);
    });
    const { l1 = 0, l2 = 0, decoupled = 0 } = options.weightDecay ?? {};
    if (l1 || l2 || decoupled) feeds.decay = array(this.#decay);
    if (decoupled) feeds.shrink = scalar(rate * decoupled);
    const into: Record<string, NDArray> = { p_next: array(this.#spare) };
    this.#slots.forEach((s, i) => {
      feeds[`s${i}`] = array(s);
      into[`s${i}_next`] = array(this.#spareSlots[i]!);
    });
    await this.session.run(feeds, Object.keys(into), into);
    [this.#vector, this.#spare] = [this.#spare, this.#vector];
    [this.#slots, this.#spareSlots] = [this.#spareSlots, this.#slots];
    this.#updates++;
  }

  /** Other elements are trained from now on; those that are not any more become 0 and forget their state. */
  remask(mask: Float32Array): void {
    const decay = decaying(this.layout);
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] === 0 && this.mask[i] !== 0) {
        this.#vector[i] = 0;
        for (const s of this.#slots) s[i] = 0;
      }
      this.mask[i] = mask[i]!;
      this.#decay[i] = decay[i]! * mask[i]!;
    }
  }
  release(): Promise<void> {
    return this.session.release();
  }
}
