/** The door of this room: a name, file, folder or module enters, datasets leave. */
import { PareError } from "../graph/error.js";
import type { Dataset } from "./dataset.js";
import { findSource } from "./find-source.js";
import { fromTable } from "./from-table.js";
import { checkedNormalization, type Normalization, parseNormalization } from "./normalize.js";
import type { Layout } from "./raw-array.js";
import { partSize, splitIndices, spread, subset } from "./views.js";

export type Split = "train" | "validation" | "test" | "all";
export const splits: readonly Split[] = ["train", "validation", "test", "all"];

export interface OpenOptions {
  /**
   * "all" (the default): every sample of the source's training part, or of its only one. "train" and "validation" are disjoint seeded
   * parts of that, unless the source has a validation part of its own. "test" is the source's own test part; where it has none (one
   * file, one folder), a seeded tenth that is then in neither of the others.
   */
  readonly split?: Split;
  /** At most this many samples, evenly spread over the split. */
  readonly limit?: number;
  /** Per channel, on 0..1 pixels: "0.1307/0.3081", or numbers. */
  readonly normalize?: string | Normalization;
  /** Of the splits; 0 unless said. */
  readonly seed?: number;
  /** Size of the validation split: a fraction below 1, or a count. A tenth, at most 5,000, unless said. */
  readonly validation?: number;
  /** Size of the test split where the source has no test part: a fraction below 1, or a count. A tenth unless said. */
  readonly test?: number;
  /** How images lie in an .npy or .npz: told from the shape unless said. */
  readonly layout?: Layout;
  /** CSV: the column of labels, by name or number. */
  readonly label?: string | number;
  /** CSV: the label is a real number to be predicted. */
  readonly regression?: boolean;
  /** Hears of downloads; standard error unless said. */
  readonly log?: (line: string) => void;
}

/** The dataset at `spec`: a name (`mnist`, …), a file, a folder or a module. Throws PareError where it is missing, damaged or no data. */
export async function open(spec: string, options: OpenOptions = {}): Promise<Dataset> {
  const split = options.split ?? "all";
  return (await openSplits(spec, { ...options, only: [split] }))[split];
}

/** Several splits at once, all unless `only` says which (`limit` applies to each): every part of the source is read once. */
export async function openSplits<S extends Split = Split>(
  spec: string,
  options: Omit<OpenOptions, "split"> & { readonly only?: readonly S[] } = {},
): Promise<Readonly<Record<S, Dataset>>> {
  const only: readonly Split[] = options.only ?? splits;
  for (const split of only)
    if (!splits.includes(split)) throw new PareError(`split "${split}": there are ${splits.join(", ")}`, "usage");
  if (options.limit !== undefined) spread(1, options.limit);
  const { normalize } = options;
  const normalization = typeof normalize === "string" ? parseNormalization(normalize) : (normalize ?? null);
  if (normalization) checkedNormalization(normalization);
  const seed = options.seed ?? 0;
  const source = await findSource(spec, {
    layout: options.layout ?? "auto",
    request: { limit: only.every((s) => s === "all") ? (options.limit ?? null) : null, seed },
    log: options.log ?? ((line) => void process.stderr.write(`${line}\n`)),
    ...(options.label === undefined ? {} : { label: options.label }),
    ...(options.regression === undefined ? {} : { regression: options.regression }),
  });
  const out: Partial<Record<Split, Dataset>> = {};
  for (const [part, choose] of planSplits(source, only, { ...options, seed })) {
    const limit = (indices: Indices, count: number): Indices => {
      if (options.limit === undefined) return indices;
      const at = spread(indices?.length ?? count, options.limit);
      return indices ? at.map((i) => indices[i]!) : at;
    };
    const chosen = (count: number): [Split, Indices][] =>
      choose(count).map(([split, indices]) => [split, limit(indices, count)]);
    const early = part.count === undefined ? null : union(chosen(part.count), part.count);
    const { table, all } = await part.read(early);
    const whole = fromTable(table, normalization);
    for (const [split, indices] of chosen(part.count ?? whole.length))
      out[split] = indices ? subset(whole, all || !early ? indices : within(early, indices)) : whole;
  }
  return out as Record<S, Dataset>;
}

/** Samples of a part, ascending; null: all of them. */
type Indices = Uint32Array | null;
type Choice = (count: number) => [Split, Indices][];

/** Which parts must be read, and which of their samples make which split. */
export function planSplits<P>(
  source: { readonly main: P; readonly validation?: P; readonly test?: P },
  only: readonly Split[],
  options: Pick<OpenOptions, "validation" | "test"> & { readonly seed: number },
): [P, Choice][] {
  const steps: [P, Choice][] = [];
  const own = { validation: source.validation, test: source.test };
  for (const split of ["validation", "test"] as const)
    if (own[split] && only.includes(split)) steps.push([own[split], () => [[split, null]]]);
  const cut = only.filter((s) => !(s === "validation" || s === "test") || !own[s]);
  if (cut.length)
    steps.unshift([
      source.main,
      (count) => {
        const parts = new Map<Split, Indices>([["all", null]]);
        if (cut.some((s) => s !== "all")) {
          let rest = Uint32Array.from({ length: count }, (_, i) => i);
          const draw = (split: Split, size: number, seed: number): void => {
            const drawn = splitIndices(rest.length, partSize(rest.length, size, split), seed);
            parts.set(
              split,
              drawn.held.map((i) => rest[i]!),
            );
            rest = drawn.rest.map((i) => rest[i]!);
          };
          if (!own.test) draw("test", options.test ?? 0.1, options.seed);
          if (!own.validation)
            draw("validation", options.validation ?? (rest.length > 50_000 ? 5_000 : 0.1), options.seed + 1);
          parts.set("train", rest);
        }
        return cut.map((s) => [s, parts.get(s)!]);
      },
    ]);
  return steps;
}

/** Every sample that some split wants, ascending; null: all. */
function union(lists: readonly [Split, Indices][], count: number): Indices {
  const wanted = new Uint8Array(count);
  for (const [, list] of lists) {
    if (!list) return null;
    for (const i of list) wanted[i] = 1;
  }
  return Uint32Array.from(wanted.keys()).filter((i) => wanted[i]);
}
/** Places of `indices` in the ascending list `read`. */
function within(read: Uint32Array, indices: Uint32Array): Uint32Array {
  const place = new Map(Array.from(read, (index, at) => [index, at]));
  return indices.map((i) => place.get(i)!);
}
