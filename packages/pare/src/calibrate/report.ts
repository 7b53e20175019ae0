/** The report of one run enters (see `Layout`), what it says of each value leaves. */
import type { Layout, Probe } from "./layout.js";
import type { Observed } from "./observe.js";

/** A value in one run, or in one round of a loop: reductions over all its elements, and some of them (NaN: none). */
export interface Reading {
  readonly size: number;
  readonly min: number;
  readonly max: number;
  /** Sum of squares. */
  readonly power: number;
  /** Smallest, largest and sum of squares by channel. */
  readonly channels: readonly [Float32Array, Float32Array, Float32Array] | null;
  readonly sample: Float32Array | null;
}

/** Values that were not computed have no readings, or readings of size 0. */
export function readReport(data: Float32Array, { layout }: Observed): Map<Probe, Reading[]> {
  const out = new Map<Probe, Reading[]>();
  let at = 0;
  const next = (): number => data[at++]!;
  const take = (length: number): Float32Array => data.subarray(at, (at += length));
  const read = (parts: Layout): void => {
    for (const part of parts) {
      if (part.kind === "rounds") {
        const rounds = next();
        for (let i = 0; i < rounds; i++) read(part.layout);
        continue;
      }
      const { probe } = part;
      const size = next();
      const reductions = probe.wanted.channels === undefined ? [next(), next(), next()] : null;
      const channels = reductions ? null : readChannels(take, next());
      const [min, max, power] = reductions ?? whole(channels!);
      const sample = probe.place >= 0 ? take(next()) : null;
      const reading = { size, min: min!, max: max!, power: power!, channels, sample };
      const list = out.get(probe);
      if (list) list.push(reading);
      else out.set(probe, [reading]);
    }
  };
  read(layout);
  return out;
}

const readChannels = (take: (length: number) => Float32Array, c: number): Reading["channels"] => [
  take(c),
  take(c),
  take(c),
];
const whole = ([min, max, power]: NonNullable<Reading["channels"]>): number[] => [
  min.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  max.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  power.reduce((a, b) => a + b, 0),
];
