/** The door of this room: a name, file, folder or module enters, datasets leave. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { PareError } from "../graph/error.js";
import type { Dataset } from "./dataset.js";
import { fromTable } from "./from-table.js";
import { idxFile, idxFolder } from "./idx-source.js";
import { dataNames, named } from "./named.js";
import { checkedNormalization, type Normalization, parseNormalization } from "./normalize.js";
import { unpackedName } from "./read-bytes.js";
import type { Part, Source } from "./source.js";
import { partSize, splitIndices, spread, subset } from "./views.js";

export type Split = "train" | "validation" | "test" | "all";
export const splits: readonly Split[] = ["train", "validation", "test", "all"];

export interface OpenOptions {
  /**
   * "train" and "validation" are disjoint seeded parts of the training part. "test" is the source's own test part; where it has none
   * (one file, one folder), a seeded tenth that is then in neither of the others. "all" (the default): every sample of the training part, or of the only one.
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
}

/** The dataset at `spec`: a name (`mnist`, …), a file, a folder or a module. Throws PareError where it is missing, damaged or no data. */
export async function open(spec: string, options: OpenOptions = {}): Promise<Dataset> {
  const split = options.split ?? "all";
  if (!splits.includes(split)) throw new PareError(`split "${split}": there are ${splits.join(", ")}`, "usage");
  return (await openSplits(spec, { ...options, only: [split] }))[split]!;
}

/** All splits at once (`limit` applies to each): each part is read once. */
export async function openSplits(
  spec: string,
  options: Omit<OpenOptions, "split"> & { readonly only?: readonly Split[] } = {},
): Promise<Readonly<Record<Split, Dataset>>> {
  const source = await find(spec);
  const normalization =
    typeof options.normalize === "string"
      ? parseNormalization(options.normalize)
      : options.normalize
        ? checkedNormalization(options.normalize)
        : null;
  const only = options.only ?? splits;
  const out = {} as Record<Split, Dataset>;
  const pick = async (
    part: Part,
    choose: (count: number) => Partial<Record<Split, Uint32Array | null>>,
  ): Promise<void> => {
    const count = part.count;
    const early = count === undefined ? null : union(Object.values(choose(count)), count);
    const { table, all } = await part.read(early);
    const whole = fromTable(table, normalization);
    for (const [split, indices] of Object.entries(choose(count ?? whole.length)) as [Split, Uint32Array | null][])
      out[split] = indices === null ? whole : subset(whole, all || !early ? indices : within(early, indices));
  };
  const limitTo = (indices: Uint32Array | null, count: number): Uint32Array | null => {
    if (options.limit === undefined) return indices;
    const at = spread(indices?.length ?? count, options.limit);
    return indices ? at.map((i) => indices[i]!) : at;
  };
  const chosen = (parts: Partial<Record<Split, Uint32Array | null>>, count: number) =>
    Object.fromEntries(
      (Object.entries(parts) as [Split, Uint32Array | null][])
        .filter(([split]) => only.includes(split))
        .map(([split, indices]) => [split, limitTo(indices, count)]),
    );
  const { test } = source;
  const own = (split: Split): boolean => only.includes(split) && !(test && split === "test");
  if (splits.some(own)) await pick(source.main, (count) => chosen(mainParts(count, !test, options, only), count));
  if (test && only.includes("test")) await pick(test, (count) => chosen({ test: null }, count));
  return out;
}

/** Indices of each split within the main part; null: all of it. */
function mainParts(
  count: number,
  holdsTest: boolean,
  options: Pick<OpenOptions, "seed" | "validation" | "test">,
  only: readonly Split[],
): Partial<Record<Split, Uint32Array | null>> {
  if (only.every((s) => s === "all")) return { all: null };
  const seed = options.seed ?? 0;
  const tested = holdsTest
    ? splitIndices(count, partSize(count, options.test ?? 0.1, "test"), seed)
    : { rest: Uint32Array.from({ length: count }, (_, i) => i), held: null };
  const left = tested.rest.length;
  const size = partSize(left, options.validation ?? (left > 50_000 ? 5_000 : 0.1), "validation");
  const { rest, held } = splitIndices(left, size, seed + 1);
  return {
    all: null,
    train: rest.map((i) => tested.rest[i]!),
    validation: held.map((i) => tested.rest[i]!),
    ...(tested.held ? { test: tested.held } : {}),
  };
}

/** Every index that some split wants, ascending; null: all. */
function union(lists: readonly (Uint32Array | null | undefined)[], count: number): Uint32Array | null {
  const wanted = new Uint8Array(count);
  for (const list of lists) {
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

/** What stands at a name or path. */
async function find(spec: string): Promise<Source> {
  const known = await named(spec);
  if (known) return known;
  const info = await stat(spec).catch(() => null);
  if (!info)
    throw new PareError(
      `data "${spec}": no such file or folder, and no data set of that name (${dataNames.join(", ")})`,
    );
  if (info.isDirectory()) {
    const source = await idxFolder(spec, basename(spec));
    if (source) return source;
    throw new PareError(`data "${spec}": a folder without data that Pare knows`);
  }
  if (/idx\d-ubyte$|\.idx$/i.test(unpackedName(spec))) return idxFile(spec);
  throw new PareError(`data "${spec}": no format that Pare knows by its name`);
}
