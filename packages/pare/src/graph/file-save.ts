/** Chunks of bytes -> a file that is whole or not there: a temporary file beside it, flushed to the disk, then renamed. */
import { randomBytes } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PareError } from "./error.js";
import { wording } from "./file-read.js";

const chunkBytes = 64 * 2 ** 20;
const gatherBytes = 2 ** 20;

/** A file that is written and flushed under a temporary name. */
export interface Pending {
  /** Gives it its final name. */
  commit(): Promise<void>;
  /** Removes it; harmless after `commit`. */
  discard(): Promise<void>;
}

/** Writes chunks to `path` so that a half file never stands there, whatever happens. Throws PareError: disk full, no permission, ... */
export async function save(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  const pending = await prepare(path, chunks);
  try {
    await pending.commit();
  } finally {
    await pending.discard();
  }
}

/** The first half of `save`, for files that belong together: prepare all, then commit all. */
export async function prepare(path: string, chunks: Iterable<Uint8Array>): Promise<Pending> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  const discard = () => rm(temporary, { force: true });
  try {
    const mode = await modeOf(path);
    const file = await open(temporary, "wx", mode);
    try {
      await writeAll(file, chunks);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await discard();
    throw failure(path, error);
  }
  const commit = async () => {
    try {
      await rename(temporary, path);
      await syncFolder(folder);
    } catch (error) {
      throw failure(path, error);
    }
  };
  return { commit, discard };
}

function failure(path: string, error: unknown): PareError {
  if (error instanceof PareError) return error;
  return new PareError(`cannot write ${path}: ${wording(error)}; nothing was left there`, "input", { cause: error });
}

/** The mode of the file that is replaced. Renaming over a device or a folder would destroy it. */
async function modeOf(path: string): Promise<number | undefined> {
  const old = await stat(path).catch(() => null);
  if (old && !old.isFile())
    throw new PareError(`cannot write ${path}: ${old.isDirectory() ? "it is a folder" : "it is not a regular file"}`);
  return old?.mode;
}

async function writeAll(file: FileHandle, chunks: Iterable<Uint8Array>): Promise<void> {
  const small = new Uint8Array(gatherBytes);
  let held = 0;
  const flush = async () => {
    await writeFully(file, small.subarray(0, held));
    held = 0;
  };
  for (const chunk of chunks) {
    if (held + chunk.length > gatherBytes) await flush();
    if (chunk.length > gatherBytes) await writeFully(file, chunk);
    else {
      small.set(chunk, held);
      held += chunk.length;
    }
  }
  await flush();
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, Math.min(chunkBytes, bytes.length - at));
    at += bytesWritten;
  }
}

/** Makes the new name last; systems that cannot flush a folder need not. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}
