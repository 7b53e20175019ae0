/** What stands at a name or path: `spec` enters, a source leaves. By the name where it says enough, else by the first bytes. */
import { open, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { PareError } from "../graph/error.js";
import { npyFile, npzFile } from "./array-source.js";
import { cifarFile, cifarFolder } from "./cifar.js";
import { type CsvOptions, readCsv } from "./csv.js";
import { idxFile, idxFolder } from "./idx-source.js";
import { imageFolder } from "./image-folder.js";
import type { ModuleRequest } from "./module-samples.js";
import { moduleSource } from "./module-source.js";
import { dataNames, named } from "./named.js";
import type { Layout } from "./raw-array.js";
import { readBytes, unpackedName } from "./read-bytes.js";
import { type Source, wholePart } from "./source.js";

export interface SourceOptions extends CsvOptions {
  readonly layout: Layout;
  readonly request: ModuleRequest;
  readonly log: (line: string) => void;
}

const formats = ".npz, .npy, IDX (…-idx3-ubyte), CIFAR-10 .bin, each also .gz or .br, .csv, or a module .js, .mjs";

/** Whether a name is that of a module of code. */
export const isModule = (spec: string): boolean => /\.(js|mjs|cjs|ts|mts)$/i.test(spec);

/** Throws where there is nothing, or nothing that Pare knows. */
export async function findSource(spec: string, options: SourceOptions): Promise<Source> {
  const known = await named(spec, options.log);
  if (known) return known;
  const info = await stat(spec).catch(() => null);
  if (!info)
    throw new PareError(
      `data "${spec}": no such file or folder, and no data set of that name (there are ${dataNames.join(", ")})`,
    );
  return info.isDirectory() ? await folderSource(spec) : await fileSource(spec, options);
}

async function folderSource(spec: string): Promise<Source> {
  const name = basename(resolve(spec));
  const source = (await idxFolder(spec, name)) ?? (await cifarFolder(spec, name)) ?? (await imageFolder(spec, name));
  if (source) return source;
  throw new PareError(
    `data "${spec}": a folder without data: Pare looks for folders of PNG or JPEG images named by class, MNIST's IDX files or CIFAR-10's data_batch_*.bin`,
  );
}

async function fileSource(spec: string, options: SourceOptions): Promise<Source> {
  const bare = unpackedName(spec);
  const name = basename(spec);
  if (/\.npy$/i.test(bare)) return npyFile(spec, options.layout);
  if (/\.npz$/i.test(bare)) return await npzFile(spec, options.layout);
  if (/\.(csv|tsv)$/i.test(bare))
    return { name, main: wholePart(async () => readCsv(await readBytes(spec), name, options)) };
  if (/idx\d-ubyte$|\.idx\d?$/i.test(bare)) return await idxFile(spec);
  if (/\.bin$/i.test(bare)) return cifarFile(spec);
  if (isModule(bare)) return await moduleSource(spec, options.request);
  if (bare === spec) {
    const head = await firstBytes(spec);
    if (head.startsWith("\x93NUMPY")) return npyFile(spec, options.layout);
    if (head.startsWith("PK\x03\x04")) return await npzFile(spec, options.layout);
    if (head.startsWith("\0\0")) return await idxFile(spec);
  }
  throw new PareError(`data "${spec}": its name does not say what it is: Pare reads ${formats}`);
}

async function firstBytes(path: string): Promise<string> {
  const file = await open(path).catch((e: Error) => {
    throw new PareError(`${join(path)}: cannot be read (${e.message})`, "input", { cause: e });
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}
