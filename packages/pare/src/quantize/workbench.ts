/** Candidates of a quantization, measured: a Workbench holds the float network, its statistics and its answers; plans go in, verdicts come out. */
import { calibrate } from "../calibrate/calibrate.js";
import type { Wanted } from "../calibrate/layout.js";
import { type RangeMethod, rangeOf } from "../calibrate/ranges.js";
import type { Statistics } from "../calibrate/statistics.js";
import type { Reference, Verdict } from "../compare/reference.js";
import type { Samples } from "../data/samples.js";
import type { Engine } from "../engine/engine.js";
import { toBytes } from "../graph/encode.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { applyPlan } from "../quantization/apply-plan.js";
import type { Candidate } from "../quantization/eligible.js";
import { gridOf } from "../quantization/grid.js";
import { valuesToCalibrate } from "../quantization/place.js";
import type { Format, Grid, LayerPlan, QuantizedTensor, Target } from "../quantization/plan.js";
import type { Channels } from "./forms.js";

/** What a layer becomes, and why. */
export interface Choice {
  readonly format: Format;
  readonly reason: string;
}
export type Choices = ReadonlyMap<string, Choice>;

/** How a candidate is made. */
export interface Attempt {
  readonly choices: Choices;
  readonly ranges: RangeMethod;
  /** Weights whose codes are chosen by more than rounding: by layer and input. */
  readonly weights?: ReadonlyMap<string, ReadonlyMap<number, QuantizedTensor>>;
  /** The network with other biases: values of the same names. */
  readonly corrected?: Graph;
  /** What chose weights and biases. */
  readonly rounding?: string;
}
const unknown: Verdict = { contrastDb: null, snrDb: null, agreement: null, error: null, errorRise: null, runMs: 0 };
export interface Judged {
  readonly attempt: Attempt;
  readonly verdict: Verdict;
  readonly sizeBytes: number;
}
/** Verdicts by what was judged, milliseconds by what was timed in turn: a search that goes on does nothing twice, and decides as it did before. */
export interface Memory {
  readonly verdicts: Map<string, Omit<Judged, "attempt">>;
  readonly times: Map<string, readonly number[]>;
}
export const emptyMemory = (): Memory => ({ verdicts: new Map(), times: new Map() });

export class Workbench {
  readonly #statistics = new Map<string, Statistics>();
  readonly #asked: Set<string>;

  constructor(
    /** The simplified float network. */
    readonly net: Graph,
    readonly candidates: readonly Candidate[],
    readonly target: Target,
    readonly engine: Engine,
    readonly samples: Samples | null,
    readonly reference: Reference | null,
    readonly reduced: boolean,
    readonly memory: Memory,
    /** Tells this network's verdicts from those of another form of it. */
    readonly form: string,
    readonly signal: AbortSignal | undefined,
    /** Extremes of values that are known already; ranges are then chosen by extremes alone. */
    readonly extremes: ReadonlyMap<string, Statistics> | null = null,
  ) {
    for (const [name, s] of extremes ?? []) this.#statistics.set(name, s);
    this.#asked = new Set(this.#statistics.keys());
  }

  /** Looks at the values of several plans at once, which costs little more than those of one; at some of them by channel too. */
  async watch(plans: readonly Choices[], channels?: Channels): Promise<void> {
    const planned = plans.flatMap((choices) => [...valuesToCalibrate(this.net, choices)]);
    await this.#calibrate([...planned, ...(channels?.needed ?? [])], channels?.axes);
  }
  /** Of all values that were looked at. */
  get seen(): ReadonlyMap<string, Statistics> {
    return this.#statistics;
  }

  /** The plan of an attempt as a graph, without judging it. */
  async make(attempt: Attempt): Promise<Graph> {
    return (await this.writer(attempt))(attempt.corrected ?? this.net);
  }
  /** What writes the plan of an attempt into the network, or into one with values of the same names and kinds. */
  async writer(attempt: Attempt): Promise<(net: Graph) => Graph> {
    const choices = await this.#withRanges(attempt.choices);
    const activations = new Map<string, Grid>();
    for (const name of valuesToCalibrate(this.net, choices)) {
      const s = this.#statistics.get(name);
      // Sixteen bits have room for everything that was seen.
      if (s) activations.set(name, this.#gridOf(s, attempt, choices));
    }
    const layers = new Map<string, LayerPlan>();
    for (const [key, choice] of choices)
      layers.set(key, { ...choice, weights: attempt.weights?.get(key) ?? new Map() });
    return (net) => applyPlan(net, { layers, activations }, { target: this.target, reduced: this.reduced });
  }

  /** Bytes of the file, without judging it. */
  async sizeOf(attempt: Attempt): Promise<number> {
    this.signal?.throwIfAborted();
    return this.memory.verdicts.get(this.keyOf(attempt))?.sizeBytes ?? toBytes(await this.make(attempt)).length;
  }
  async judge(attempt: Attempt): Promise<Judged> {
    this.signal?.throwIfAborted();
    const key = this.keyOf(attempt);
    let known = this.memory.verdicts.get(key);
    if (!known) {
      const graph = await this.make(attempt);
      const verdict = this.reference ? await this.reference.judge(graph) : unknown;
      known = { verdict, sizeBytes: toBytes(graph).length };
      this.memory.verdicts.set(key, known);
    }
    return { attempt, ...known };
  }
  /** What tells an attempt from all others, those of other forms of the network included. */
  keyOf({ choices, ranges, rounding }: Attempt): string {
    const formats = [...choices].map(([key, { format }]) => `${key}=${format}`).sort();
    return [this.form, ranges, rounding ?? "nearest", ...formats].join("|");
  }

  #gridOf(s: Statistics, attempt: Attempt, choices: Choices): Grid {
    const wide = [...choices.values()].some((c) => c.format === "int16");
    if (wide) return gridOf(rangeOf(s, "min-max", { bits: 16 }), "uint16");
    const method = s.histogram ? attempt.ranges : "min-max";
    return gridOf(rangeOf(s, method, { bits: 8 }), "uint8");
  }

  /** Choices whose values all have statistics; layers of branches that no sample took keep float arithmetic. */
  async #withRanges(choices: Choices): Promise<Choices> {
    await this.#calibrate([...valuesToCalibrate(this.net, choices)]);
    return this.#dropUnseen(choices);
  }
  async #calibrate(names: readonly string[], axes: ReadonlyMap<string, number> = new Map()): Promise<void> {
    const wanted = names.filter((name) => !this.#asked.has(name));
    if (wanted.length === 0) return;
    if (!this.samples) throw new PareError("static quantization needs samples to calibrate with");
    const each = (name: string): Wanted => ({
      ...(this.extremes ? {} : { histogram: 2048 }),
      ...(axes.has(name) ? { channels: axes.get(name)! } : {}),
    });
    const found = await calibrate(this.net, new Map(wanted.map((name) => [name, each(name)])), this.samples, {
      engine: this.engine,
      // What was found before a stop is still to be written.
      ...(this.signal && !this.signal.aborted ? { signal: this.signal } : {}),
    });
    for (const name of wanted) this.#asked.add(name);
    for (const [name, s] of found) this.#statistics.set(name, s);
  }

  #dropUnseen(choices: Choices): Choices {
    const now = new Map(choices);
    for (;;) {
      const unseen = [...valuesToCalibrate(this.net, now)].filter((name) => !this.#usable(name));
      if (unseen.length === 0) return now;
      const lost = new Set(unseen);
      let changed = false;
      for (const c of this.candidates) {
        const format = now.get(c.key)?.format;
        if (format !== "int8" && format !== "int16") continue;
        if (![...c.node.inputs, ...c.node.outputs].some((name) => lost.has(name))) continue;
        now.set(c.key, stored(c, "no sample computes it, so its ranges are unknown"));
        changed = true;
      }
      if (!changed) throw new PareError(`no sample computes "${unseen[0]}", which would become integers`);
    }
  }
  #usable(name: string): boolean {
    const s = this.#statistics.get(name);
    return s !== undefined && Number.isFinite(s.min) && Number.isFinite(s.max);
  }
}

/** The next best for a layer whose arithmetic stays in float: its weights in eight bits, where it has some. */
export const stored = (c: Candidate, reason: string): Choice => ({
  format: c.formats.includes("weights8") ? "weights8" : "float",
  reason,
});
