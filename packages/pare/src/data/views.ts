/** Datasets made of datasets: subsets, splits, concatenations. Nothing is copied until a batch is asked for. */
import type { NDArray } from "../engine/engine.js";
import { PareError } from "../graph/error.js";
import { sizeOf } from "../graph/tensor.js";
import type { Batch, Dataset, Field } from "./dataset.js";
import { checkIndices } from "./from-table.js";
import { shuffle } from "./shuffle.js";

/** The samples at `indices` of a dataset, in that order. */
export function subset(dataset: Dataset, indices: ArrayLike<number>, name = dataset.name): Dataset {
  checkIndices(indices, dataset.length, dataset.name);
  const kept = Uint32Array.from(indices);
  return {
    ...dataset,
    name,
    length: kept.length,
    batch(at) {
      checkIndices(at, kept.length, name);
      return dataset.batch(Uint32Array.from({ length: at.length }, (_, i) => kept[at[i]!]!));
    },
  };
}

/** `limit` samples spread evenly over the dataset, so that data sorted by class keeps every class; all of them where there are fewer. */
export function limited(dataset: Dataset, limit: number): Dataset {
  return limit >= dataset.length ? dataset : subset(dataset, spread(dataset.length, limit));
}
/** `limit` of `length` indices, evenly spread. */
export function spread(length: number, limit: number): Uint32Array {
  if (!Number.isInteger(limit) || limit < 1)
    throw new PareError(`limit ${limit}: give a whole number of samples, at least 1`, "usage");
  const count = Math.min(limit, length);
  return Uint32Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));
}

/** How many of `length` samples `part` means: a fraction below 1, or a count. Throws (usage) where nothing would be left on either side. */
export function partSize(length: number, part: number, what: string): number {
  const count = part < 1 ? Math.round(length * part) : part;
  if (!(part > 0) || !Number.isInteger(count) || count >= length)
    throw new PareError(
      `${what} ${part} of ${length} samples: give a fraction between 0 and 1, or a count below ${length}`,
      "usage",
    );
  return Math.max(1, count);
}

/** Sets aside `part` (a fraction below 1, or a count) of a dataset by a seeded draw. Both halves keep the dataset's order. */
export function split(dataset: Dataset, part: number, seed = 0): { readonly rest: Dataset; readonly part: Dataset } {
  const { rest, held } = splitIndices(dataset.length, partSize(dataset.length, part, "part"), seed);
  return { rest: subset(dataset, rest), part: subset(dataset, held) };
}

/** A seeded draw of `count` of `length` indices, and the others; both ascending. */
export function splitIndices(length: number, count: number, seed: number): { rest: Uint32Array; held: Uint32Array } {
  const order = shuffle(length, seed);
  return { held: order.slice(0, count).sort(), rest: order.slice(count).sort() };
}

const shapeOf = (fields: readonly Field[]): string =>
  fields.map((f) => `${f.name ?? "input"} ${f.type}[${f.dims}]`).join(", ");

/** Datasets one after another. Throws where their fields differ. */
export function concat(datasets: readonly Dataset[], name = datasets.map((d) => d.name).join(" + ")): Dataset {
  const first = datasets[0];
  if (!first) throw new PareError("concat of no datasets", "usage");
  for (const d of datasets)
    if (shapeOf(d.fields) !== shapeOf(first.fields))
      throw new PareError(
        `"${d.name}" holds ${shapeOf(d.fields)}, "${first.name}" holds ${shapeOf(first.fields)}: they must agree`,
      );
  const starts = datasets.map((_, i) => datasets.slice(0, i).reduce((sum, d) => sum + d.length, 0));
  const length = datasets.reduce((sum, d) => sum + d.length, 0);
  const classes = datasets.every((d) => d.classes !== undefined)
    ? Math.max(...datasets.map((d) => d.classes!))
    : undefined;
  const partOf = (index: number): number => {
    let part = datasets.length - 1;
    while (index < starts[part]!) part--;
    return part;
  };
  const { classes: _, ...rest } = first;
  return {
    ...rest,
    name,
    length,
    ...(classes === undefined ? {} : { classes }),
    batch(indices) {
      checkIndices(indices, length, name);
      const rows = Array.from(indices, (index) => ({ index, part: partOf(index) }));
      const places = datasets.map((_, part) => rows.flatMap((r, at) => (r.part === part ? [at] : [])));
      const batches = datasets.map((d, part) => d.batch(places[part]!.map((at) => rows[at]!.index - starts[part]!)));
      return interleave(batches, places, indices.length);
    },
  };
}

/** Rows of several batches at their places in one. */
function interleave(batches: readonly Batch[], places: readonly (readonly number[])[], length: number): Batch {
  const merge = (arrays: readonly NDArray[]): NDArray => {
    const { type, dims: first, data } = arrays[0]!;
    const dims = first.slice(1);
    const size = sizeOf(dims);
    const out = new (data.constructor as new (n: number) => Float32Array)(length * size);
    for (const [part, array] of arrays.entries()) {
      const rows = array.data as Float32Array;
      for (const [row, at] of places[part]!.entries()) out.set(rows.subarray(row * size, (row + 1) * size), at * size);
    }
    return { type, dims: [length, ...dims], data: out };
  };
  const all = <T>(lists: readonly (T | undefined)[]): readonly T[] | null =>
    lists.every((x) => x !== undefined) ? (lists as readonly T[]) : null;
  const labels = all(
    batches.map((b) => b.labels && { type: "int32" as const, dims: [b.labels.length], data: b.labels }),
  );
  const targets = all(batches.map((b) => b.targets));
  return {
    inputs: batches[0]!.inputs.map((_, k) => merge(batches.map((b) => b.inputs[k]!))),
    ...(labels ? { labels: merge(labels).data as Int32Array } : {}),
    ...(targets ? { targets: merge(targets) } : {}),
  };
}
