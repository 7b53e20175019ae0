/** Whole files in memory, unpacked on the way (.gz, .br): a path enters, bytes leave, never more than the format's own header allows. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { PareError } from "../graph/error.js";

/** More than this is refused where the format does not say its size: 2 GiB. */
const limitBytes = 2 ** 31;

/** Tells the size of the unpacked file from its first bytes; null while it needs more of them, "unknown" where the format has no size. */
export type SizeOf = (head: Uint8Array) => number | null | "unknown";

/** The path without .gz or .br. */
export const unpackedName = (path: string): string => path.replace(/\.(gz|br)$/i, "");

/** Reads a file, through gunzip or brotli by its ending. Throws where it is missing, damaged, or unpacks to more than `sizeOf` says. */
export async function readBytes(path: string, sizeOf: SizeOf = () => "unknown"): Promise<Uint8Array> {
  const info = await stat(path).catch((e: Error) => {
    throw new PareError(`${path}: cannot be read (${e.message})`, "input", { cause: e });
  });
  if (!info.isFile()) throw new PareError(`${path}: not a file`);
  const chunks: Uint8Array[] = [];
  let total = 0;
  let allowed: number | null = null;
  const collect = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of source) {
      chunks.push(chunk);
      total += chunk.length;
      if (allowed === null) {
        const size = sizeOf(chunks.length === 1 ? chunk : joined(chunks, total));
        if (size === "unknown") allowed = limitBytes;
        else if (size !== null) allowed = checkedSize(size, path);
        else if (total > 1 << 20) throw new PareError(`${path}: no complete header in its first MiB`);
      }
      if (allowed !== null && total > allowed)
        throw new PareError(
          `${path}: unpacks to more than ${allowed} bytes${allowed === limitBytes ? "" : ", the size its header declares"}: it is damaged or not what it claims`,
        );
    }
  };
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    if (/\.gz$/i.test(path)) await pipeline(file, createGunzip(), collect);
    else if (/\.br$/i.test(path)) await pipeline(file, createBrotliDecompress(), collect);
    else await pipeline(file, collect);
  } catch (e) {
    if (e instanceof PareError) throw e;
    throw new PareError(`${path}: cannot be read or unpacked (${(e as Error).message})`, "input", { cause: e });
  }
  return joined(chunks, total);
}

function checkedSize(size: number, path: string): number {
  if (size > 2 * limitBytes)
    throw new PareError(`${path}: declares ${size} bytes: more than Pare reads into memory (${2 * limitBytes})`);
  return size;
}

/** One array of its own, starting at offset 0: aligned for every element type. */
function joined(chunks: readonly Uint8Array[], total: number): Uint8Array {
  const out = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
