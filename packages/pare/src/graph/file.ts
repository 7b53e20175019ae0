/** Graph from a path or bytes. The one place, with file-*.ts, where the graph room touches a disk. */
import { dirname } from "node:path";
import { check } from "./check.js";
import { decode, fromBytes } from "./decode.js";
import { PareError } from "./error.js";
import { externals } from "./external.js";
import { loadExternals, openRegular, readRange, wording } from "./file-read.js";
import type { Graph } from "./graph.js";
import { parse } from "./parse.js";
import { maxMessageBytes } from "./pieces.js";

/**
 * A graph from an .onnx file, or from its bytes. External data are read from the file's own folder, and only from there; they may
 * pass 2 GiB. Nodes are sorted and `check` is run. Throws PareError led by the path where the file cannot be read, is not a whole and
 * valid model, or wants data from outside its folder.
 */
export async function read(source: string | Uint8Array): Promise<Graph> {
  if (typeof source !== "string") return fromBytes(source);
  try {
    const model = parse(await readWhole(source));
    await loadExternals(externals(model), dirname(source));
    const graph = decode(model);
    check(graph);
    return graph;
  } catch (error) {
    if (!(error instanceof PareError)) throw error;
    throw new PareError(`${source}: ${error.message}`, error.kind, { cause: error });
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  const file = await openRegular(path).catch((error) => {
    throw new PareError(wording(error), "input", { cause: error });
  });
  try {
    const info = await file.stat();
    if (info.size > maxMessageBytes)
      throw new PareError(`${info.size} bytes are more than the 2 GiB that an ONNX file can hold`);
    return await readRange(file, 0, info.size);
  } finally {
    await file.close();
  }
}

export { write } from "./file-write.js";
