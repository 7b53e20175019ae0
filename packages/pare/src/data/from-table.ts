/** Datasets in memory: a table of columns enters, a Dataset leaves that converts batch by batch. */
import { PareError } from "../graph/error.js";
import { type Column, deliveredType, gatherer, lengthOf, type Table } from "./columns.js";
import type { Batch, Dataset } from "./dataset.js";
import type { Normalization } from "./normalize.js";

/** A Dataset over a table, checked: equal lengths, finite numbers, labels within 0..classes-1. `normalization` goes to the first image-like column. */
export function fromTable(table: Table, normalization: Normalization | null = null): Dataset {
  const { name, columns, labels, targets } = table;
  const first = columns[0];
  if (!first) throw new PareError(`${name}: no data`);
  const length = lengthOf(first);
  if (length < 1) throw new PareError(`${name}: no samples`);
  for (const column of targets ? [...columns, targets] : columns) {
    const title = column.name ?? (column === targets ? "targets" : "data");
    if (lengthOf(column) !== length)
      throw new PareError(`${name}: "${title}" has ${lengthOf(column)} samples, the first field has ${length}`);
    checkFinite(column, `${name}: "${title}"`, length);
  }
  if (labels && labels.length !== length)
    throw new PareError(`${name}: ${labels.length} labels for ${length} samples: they must be as many`);
  const classes = table.classes ?? (labels ? maximum(labels) + 1 : undefined);
  if (labels) checkLabels(labels, classes!, name);
  const gather = columns.map((c, i) => gatherer(c, i === 0 ? normalization : null));
  const gatherTargets = targets ? gatherer(targets, null) : null;
  return {
    name,
    length,
    fields: columns.map((c) => ({ name: c.name, type: deliveredType(c), dims: c.dims })),
    ...(classes === undefined ? {} : { classes }),
    ...(table.classNames ? { classNames: table.classNames } : {}),
    batch(indices): Batch {
      checkIndices(indices, length, name);
      return {
        inputs: gather.map((g) => g(indices)),
        ...(labels ? { labels: Int32Array.from({ length: indices.length }, (_, i) => labels[indices[i]!]!) } : {}),
        ...(gatherTargets ? { targets: gatherTargets(indices) } : {}),
      };
    },
  };
}

/** What `fromArrays` takes. `x`: values sample after sample (Uint8Array: pixels, delivered as x / 255), or one array per named input. */
export interface Arrays {
  readonly name?: string;
  readonly x: Column["data"] | Readonly<Record<string, { data: Column["data"]; dims: readonly number[] }>>;
  /** Dims of one sample, without the batch axis; for an `x` with names they stand with each array. */
  readonly dims?: readonly number[];
  /** Class indices. */
  readonly y?: ArrayLike<number>;
  /** Regression targets, `targetDims` each ([1] unless said). */
  readonly targets?: Float32Array;
  readonly targetDims?: readonly number[];
  readonly classes?: number;
  readonly normalization?: Normalization;
}

/** A Dataset over arrays the caller owns (not copied). Throws where lengths, labels or numbers are wrong. */
export function fromArrays(arrays: Arrays): Dataset {
  const { x } = arrays;
  const columns: Column[] = ArrayBuffer.isView(x)
    ? [{ name: null, dims: arrays.dims ?? [1], data: x }]
    : Object.entries(x).map(([name, c]) => ({ name, dims: c.dims, data: c.data }));
  return fromTable(
    {
      name: arrays.name ?? "arrays",
      columns,
      ...(arrays.y ? { labels: toLabels(arrays.y, arrays.name ?? "arrays") } : {}),
      ...(arrays.targets ? { targets: { name: "targets", dims: arrays.targetDims ?? [1], data: arrays.targets } } : {}),
      ...(arrays.classes === undefined ? {} : { classes: arrays.classes }),
    },
    arrays.normalization ?? null,
  );
}

/** Whole numbers as labels. Throws at the first that is none. */
export function toLabels(values: ArrayLike<number | bigint>, name: string): Int32Array {
  return Int32Array.from({ length: values.length }, (_, i) => {
    const label = Number(values[i]);
    if (!Number.isInteger(label) || Math.abs(label) > 0x7fff_ffff)
      throw new PareError(`${name}: label ${values[i]} of sample ${i} is not a class index`);
    return label;
  });
}

/** Throws unless every index is a sample of the dataset. */
export function checkIndices(indices: ArrayLike<number>, length: number, name: string): void {
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (!(index >= 0 && index < length && Number.isInteger(index)))
      throw new PareError(`${name}: sample ${index} does not exist: it has ${length} (0 to ${length - 1})`, "usage");
  }
}

function checkLabels(labels: Int32Array, classes: number, name: string): void {
  for (let i = 0; i < labels.length; i++)
    if (labels[i]! < 0 || labels[i]! >= classes)
      throw new PareError(
        `${name}: label ${labels[i]} of sample ${i} is outside 0..${classes - 1} (${classes} classes)`,
      );
}

function checkFinite(column: Column, title: string, length: number): void {
  const { data } = column;
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return;
  for (let i = 0; i < data.length; i++)
    if (!Number.isFinite(data[i]!))
      throw new PareError(
        `${title}: sample ${Math.floor((i * length) / data.length)} holds ${data[i]}: every value must be finite`,
      );
}

const maximum = (values: Int32Array): number => values.reduce((m, v) => Math.max(m, v), 0);
