/** What a run must remember to go on as if it had never stopped. Random draws depend on seed and place only, so no generator is in it. */
import { PareError } from "../graph/error.js";
import type { EpochMetrics, TrainOptions } from "./options.js";
import type { Training } from "./prepare.js";

export interface Best {
  readonly score: number;
  readonly epoch: number;
  readonly vector: Float32Array;
  readonly statistics: Float32Array;
}

/** Where the loop stands. */
export interface Position {
  epoch: number;
  /** Steps of the run that are done. */
  step: number;
  /** Sum of the losses of the epoch's micro-batches so far, and how many they are. */
  lossSum: number;
  lossCount: number;
  /** Seconds of work before this process. */
  seconds: number;
}

export interface RunState {
  readonly fingerprint: string;
  readonly position: Position;
  readonly updates: number;
  readonly history: readonly EpochMetrics[];
  readonly best: { readonly score: number; readonly epoch: number } | null;
  readonly arrays: ReadonlyMap<string, Float32Array | Uint8Array>;
}

/** Everything that changes the trained bytes, as text: a checkpoint of another recipe, model or dataset is not resumed. */
export function fingerprintOf(t: Training, o: TrainOptions): string {
  const { plan, course, optimizer } = t;
  const hash = (values: Float32Array | Uint32Array): number => {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
    let h = 0x811c9dc5;
    for (const w of words) h = Math.imul(h ^ w, 0x01000193) ^ (h >>> 15);
    return h >>> 0;
  };
  const named = (v: unknown): unknown => (typeof v === "function" ? String(v) : (v ?? null));
  return JSON.stringify({
    course,
    epochs: o.epochs,
    optimizer: named(o.optimizer),
    learningRate: named(o.learningRate),
    weightDecay: named(o.weightDecay),
    clipNorm: named(o.clipNorm),
    ...(optimizer.pull ? { penalty: [hash(optimizer.pull.strength), hash(optimizer.pull.anchor)] } : {}),
    ...(o.path ? { path: true } : {}),
    ...(o.proximal ? { proximal: o.proximal.settings } : {}),
    loss: named(o.loss),
    soft: o.softTargets ? [o.softTargets.temperature, o.softTargets.weight] : null,
    dropouts: plan.dropouts.map((d) => d.ratio),
    augment: named(o.augment),
    remask: named(o.remask),
    keepBest: named(o.keepBest),
    patience: named(o.patience),
    seed: plan.seed,
    data: [o.data.name, o.data.length, o.validation?.name ?? null, o.validation?.length ?? null],
    parameters: plan.layout.segments.map((s) => [s.parameter.name, s.count, s.codebook ? hash(s.codebook.indices) : 0]),
    start: [hash(optimizer.vector), hash(optimizer.mask)],
  });
}

/** The run as it stands now; the arrays are those at work, so save them before the next step. */
export function captureState(
  t: Training,
  fingerprint: string,
  position: Position,
  history: readonly EpochMetrics[],
  best: Best | null,
): RunState {
  const { vector, slots, updates } = t.optimizer.state;
  const arrays = new Map<string, Float32Array | Uint8Array>([
    ["vector", vector],
    ["running", t.running],
  ]);
  slots.forEach((s, i) => {
    arrays.set(`slot${i}`, s);
  });
  const { work } = t.optimizer;
  if (work) arrays.set("work", new Uint8Array(work.buffer));
  if (best) arrays.set("best", best.vector).set("bestRunning", best.statistics);
  for (const [name, mask] of t.masks()) arrays.set(`mask:${name}`, mask);
  return {
    fingerprint,
    position: { ...position },
    updates,
    history,
    best: best && { score: best.score, epoch: best.epoch },
    arrays,
  };
}

/** Puts a run back to where `state` was taken. Throws PareError for the state of another run. */
export function restoreState(t: Training, fingerprint: string, path: string, state: RunState): Best | null {
  if (state.fingerprint !== fingerprint) {
    const [a, b] = [JSON.parse(state.fingerprint), JSON.parse(fingerprint)] as Record<string, unknown>[];
    const differing = Object.keys(b!).filter((k) => JSON.stringify(a![k]) !== JSON.stringify(b![k]));
    throw new PareError(
      `checkpoint ${path} belongs to another training (${differing.join(", ")} differ): delete it to start anew, or name another file`,
      "usage",
    );
  }
  const floats = (name: string): Float32Array => state.arrays.get(name) as Float32Array;
  const masks = new Map<string, Uint8Array>();
  for (const [name, a] of state.arrays) if (name.startsWith("mask:")) masks.set(name.slice(5), a as Uint8Array);
  t.setMasks(masks);
  const slots = t.optimizer.state.slots.map((_, i) => floats(`slot${i}`));
  t.optimizer.restore({ vector: floats("vector"), slots, updates: state.updates });
  t.running.set(floats("running"));
  if (t.optimizer.work) new Uint8Array(t.optimizer.work.buffer).set(state.arrays.get("work") as Uint8Array);
  return state.best && { ...state.best, vector: floats("best"), statistics: floats("bestRunning") };
}
