/** CIFAR-10's binary files (a label byte, then 3 x 32 x 32 pixels): paths enter, a source leaves. */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { PareError } from "../graph/error.js";
import type { Table } from "./columns.js";
import { readBytes } from "./read-bytes.js";
import { type Source, wholePart } from "./source.js";

const pixels = 3 * 32 * 32;
export const cifarRecord = 1 + pixels;
export const cifarClasses: readonly string[] = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/** The records of CIFAR-10 binary files, one after another. Throws where a file is not whole records or a label is above 9. */
export async function readCifar(name: string, paths: readonly string[]): Promise<Table> {
  const files: Uint8Array[] = [];
  for (const path of paths) {
    const bytes = await readBytes(path);
    if (!bytes.length || bytes.length % cifarRecord)
      throw new PareError(
        `${path}: ${bytes.length} bytes are not whole CIFAR-10 records of ${cifarRecord} (${bytes.length % cifarRecord} bytes over): it is truncated or something else`,
      );
    files.push(bytes);
  }
  const count = files.reduce((sum, f) => sum + f.length, 0) / cifarRecord;
  const data = new Uint8Array(count * pixels);
  const labels = new Int32Array(count);
  let sample = 0;
  for (const [f, bytes] of files.entries()) {
    for (let at = 0; at < bytes.length; at += cifarRecord, sample++) {
      labels[sample] = bytes[at]!;
      if (bytes[at]! > 9)
        throw new PareError(
          `${paths[f]}: record ${at / cifarRecord} has label ${bytes[at]}, outside 0..9: this is not CIFAR-10's binary format`,
        );
      data.set(bytes.subarray(at + 1, at + cifarRecord), sample * pixels);
    }
  }
  return { name, columns: [{ name: null, dims: [3, 32, 32], data }], labels, classes: 10, classNames: cifarClasses };
}

export const cifarFile = (path: string): Source => ({
  name: basename(path),
  main: wholePart(() => readCifar(basename(path), [path])),
});

/** A folder with data_batch_*.bin and test_batch.bin, plain or packed; null where it holds none. */
export async function cifarFolder(folder: string, name: string): Promise<Source | null> {
  const files = (await readdir(folder)).sort();
  const of = (pattern: RegExp): string[] => files.filter((f) => pattern.test(f)).map((f) => join(folder, f));
  const [main, test] = [of(/^data_batch_\d+\.bin(\.gz|\.br)?$/), of(/^test_batch\.bin(\.gz|\.br)?$/)];
  if (!main.length) return null;
  return {
    name,
    main: wholePart(() => readCifar(name, main)),
    ...(test.length ? { test: wholePart(() => readCifar(name, test.slice(0, 1))) } : {}),
  };
}
