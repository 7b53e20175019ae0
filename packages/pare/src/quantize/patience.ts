/** A span of time that work may take; asked before each further step, it tells whether there is some left. */
import { cpuMs } from "../engine/clock.js";

/** On a busy machine work takes longer than its own time: up to this many times as long. */
const waits = 3;

export class Patience {
  readonly #started = performance.now();
  readonly #before = cpuMs();

  /** `seconds`: of this process's own time. */
  constructor(readonly seconds: number) {}

  get #left(): number {
    const passed = (performance.now() - this.#started) / 1000;
    return Math.min(this.seconds - (cpuMs() - this.#before) / 1000, this.seconds - passed / waits);
  }
  /** 0 at the start, 1 at the end and after it. */
  get spent(): number {
    return this.over ? 1 : 1 - this.#left / this.seconds;
  }
  get over(): boolean {
    return this.#left <= 0;
  }
  /** How many of `wanted` samples fit into a tenth of what is left, where a run takes this long; four at least. */
  samples(wanted: number, runMs: number): number {
    return Math.max(4, Math.min(wanted, Math.floor((100 * this.#left) / runMs)));
  }
}
