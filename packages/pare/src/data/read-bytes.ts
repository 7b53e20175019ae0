/** Whole files in memory, unpacked on the way (.gz, .br): a path enters, bytes leave, never more than the format's own header allows. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { PareError } from "../graph/error.js";

/** More than this is refused: 2 GiB. */
export const limitBytes = 2 ** 31;

/** Tells the size of the unpacked file from its first bytes; null while it needs more of them, "unknown" where the format has no size. */
export type SizeOf = (head: Uint8Array) => number | null | "unknown";

/** The path without .gz or .br. */
export const unpackedName = (path: string): string => path.replace(/\.(gz|br)$/i, "");

/** Reads a file, through gunzip or brotli by its ending. Throws where it is missing, damaged, or holds more than `sizeOf` says. */
export async function readBytes(path: string, sizeOf: SizeOf = () => "unknown"): Promise<Uint8Array> {
  const info = await stat(path).catch((e: Error) => {
    throw new PareError(`${path}: cannot be read (${e.message})`, "input", { cause: e });
  });
  if (!info.isFile()) throw new PareError(`${path}: not a file`);
  const unpacker = /\.t?gz$/i.test(path) ? createGunzip() : /\.br$/i.test(path) ? createBrotliDecompress() : null;
  // deflate packs at most 1032 to 1, and real data hardly better in brotli
  const most = Math.min(limitBytes, unpacker ? Math.max(1 << 26, 1100 * info.size) : info.size);
  const chunks: Uint8Array[] = [];
  let total = 0;
  let allowed: number | null = null;
  const take = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    total += chunk.length;
    if (allowed === null) {
      const size = sizeOf(chunks.length === 1 ? chunk : joined(chunks, total));
      if (size === "unknown") allowed = most;
      else if (size !== null) allowed = checkedSize(size, path, most);
      else if (total > 1 << 21) throw new PareError(`${path}: no complete header in its first 2 MiB`);
    }
    if (allowed !== null && total > allowed)
      throw new PareError(
        `${path}: holds more than ${allowed} bytes, ${allowed === most ? "the most that Pare reads from it" : "the size its header declares"}: it is damaged or not what it claims`,
      );
  };
  // a pipeline reports a sink's error as its own "aborted" once the source has ended: keep the reason
  let refusal: unknown = null;
  const collect = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    try {
      for await (const chunk of source) take(chunk);
    } catch (e) {
      if (e instanceof PareError) refusal = e;
      throw e;
    }
  };
  if (!unpacker && info.size > limitBytes) checkedSize(info.size, path, limitBytes);
  const file = createReadStream(path, { highWaterMark: 1 << 20 });
  try {
    if (unpacker) await pipeline(file, unpacker, collect);
    else await pipeline(file, collect);
  } catch (e) {
    if (refusal) throw refusal;
    throw new PareError(`${path}: cannot be read or unpacked (${(e as Error).message})`, "input", { cause: e });
  }
  return joined(chunks, total);
}

function checkedSize(size: number, path: string, most: number): number {
  if (size > limitBytes)
    throw new PareError(`${path}: declares ${size} bytes: more than Pare reads into memory (${limitBytes})`);
  if (size > most)
    throw new PareError(`${path}: its header declares ${size} bytes, it can hold at most ${most}: it is truncated`);
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
