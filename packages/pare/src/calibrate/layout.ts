/** What is wanted of values, and how a report on them reads: plain data. */

/** What is wanted of one value. */
export interface Wanted {
  /** A histogram of at least this many bins over the value's range. */
  readonly histogram?: number;
  /** Statistics by index of this axis, too; negative: from the last. */
  readonly channels?: number;
}

/** One watched value. */
export interface Probe {
  readonly name: string;
  /** What makes it, for messages. */
  readonly maker: string;
  readonly wanted: Wanted;
  /** Index among the values that are sampled; -1: it is not. */
  readonly place: number;
  /** Whether it lies within a Loop or Scan. */
  readonly looped: boolean;
}

/**
 * How a report reads, from first to last. A value: size; then, without channels, its smallest, largest and sum of squares, or with them
 * the number c of channels and c of each; then, where it is sampled, the number of elements taken and these (NaN: none). Rounds of a loop:
 * their number, then a report for each.
 */
export type Layout = readonly (
  | { readonly kind: "value"; readonly probe: Probe }
  | { readonly kind: "rounds"; readonly layout: Layout }
)[];
