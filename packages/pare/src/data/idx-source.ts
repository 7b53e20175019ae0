/** MNIST-like folders and pairs of IDX files: paths enter, a source leaves. */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PareError } from "../graph/error.js";
import type { Table } from "./columns.js";
import { idxSize, readIdx } from "./idx.js";
import { type RawArray, toClassIndices, toColumn } from "./raw-array.js";
import { readBytes } from "./read-bytes.js";
import { type Part, type Source, wholePart } from "./source.js";

const readIdxFile = async (path: string): Promise<RawArray> =>
  readIdx(await readBytes(path, (head) => idxSize(head, path)), path);

/** Images and labels from two IDX files; without labels where the second is null. */
export async function readIdxPair(
  name: string,
  images: string,
  labels: string | null,
  classes?: number,
): Promise<Table> {
  const column = toColumn(await readIdxFile(images), null, "auto", images);
  return {
    name,
    columns: [column],
    ...(labels ? { labels: toClassIndices(await readIdxFile(labels), labels) } : {}),
    ...(classes === undefined || !labels ? {} : { classes }),
  };
}

/** The path in `folder` of an IDX file called `stem`, plain or packed; null where there is none. */
function find(files: readonly string[], stem: RegExp): string | null {
  return files.find((f) => stem.test(f)) ?? null;
}
const parts = {
  main: {
    images: /^(train|training)-images[.-]idx3-ubyte(\.gz|\.br)?$/i,
    labels: /^(train|training)-labels[.-]idx1-ubyte(\.gz|\.br)?$/i,
  },
  test: {
    images: /^(t10k|test)-images[.-]idx3-ubyte(\.gz|\.br)?$/i,
    labels: /^(t10k|test)-labels[.-]idx1-ubyte(\.gz|\.br)?$/i,
  },
};

/** A folder with MNIST's four files; null where it holds no training images of that kind. */
export async function idxFolder(folder: string, name: string, classes?: number): Promise<Source | null> {
  const files = (await readdir(folder)).sort();
  const part = (which: keyof typeof parts): Part | null => {
    const images = find(files, parts[which].images);
    if (!images) return null;
    const labels = find(files, parts[which].labels);
    if (!labels) throw new PareError(`${join(folder, images)}: its labels (…-labels-idx1-ubyte) are not beside it`);
    return wholePart(() => readIdxPair(name, join(folder, images), join(folder, labels), classes));
  };
  const [main, test] = [part("main"), part("test")];
  return main ? { name, main, ...(test ? { test } : {}) } : null;
}

/** One IDX file of samples, with the labels beside it where a file of the matching name exists (images-idx3 -> labels-idx1). */
export async function idxFile(path: string): Promise<Source> {
  const wanted = basename(path)
    .replace(/images/i, "labels")
    .replace(/idx\d/i, "idx1")
    .replace(/\.(gz|br)$/i, "");
  const beside = wanted === basename(path) ? [] : await readdir(dirname(path));
  const labels = beside.find((f) => f.replace(/\.(gz|br)$/i, "") === wanted);
  const name = basename(path);
  return { name, main: wholePart(() => readIdxPair(name, path, labels ? join(dirname(path), labels) : null)) };
}
