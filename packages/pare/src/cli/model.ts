/** A path on the command line -> a Graph: .onnx is read, .pare is unpacked. */
import { readFile } from "node:fs/promises";
import { PareError } from "../graph/error.js";
import { read } from "../graph/file.js";
import type { Graph } from "../graph/graph.js";

/** Throws a PareError that names the path. */
export async function load(path: string): Promise<Graph> {
  try {
    // The decoder is loaded where it is asked for.
    if (path.endsWith(".pare")) return (await import("../pack/pack.js")).unpack(await readFile(path));
    return await read(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new PareError(`${path}: no such file`);
    if (code === "EISDIR") throw new PareError(`${path}: a folder; expected an .onnx or .pare file`);
    if (error instanceof PareError && !error.message.includes(path))
      throw new PareError(`${path}: ${error.message}`, error.kind, { cause: error });
    throw error;
  }
}
