/** What calibration knows of one value after all samples went by. */
export interface Statistics {
  readonly min: number;
  readonly max: number;
  /** Elements seen. */
  readonly count: number;
  /** Mean of the squares. */
  readonly power: number;
  /** Counts over equal bins from `low` to `high`, 0 in the middle of one, where asked for: of every element, or of a part of large values. */
  readonly histogram: { readonly low: number; readonly high: number; readonly counts: Float64Array } | null;
  /** By index of one axis (negative: from the last), where asked for: extremes and mean square. */
  readonly channels: {
    readonly axis: number;
    readonly min: Float32Array;
    readonly max: Float32Array;
    readonly power: Float32Array;
  } | null;
}
