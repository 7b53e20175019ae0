/** External data: paths that a model names -> bytes, each byte of a file read at most once and never from outside the model's folder. */

import type { FileHandle } from "node:fs/promises";
import { constants, open, realpath } from "node:fs/promises";
import { isAbsolute, join, posix, relative, sep, win32 } from "node:path";
import { PareError } from "./error.js";
import type { External } from "./external.js";
import { quote } from "./quote.js";

/** One read call: Node refuses 2 GiB at once. */
const chunkBytes = 64 * 2 ** 20;

/** Bytes [offset, offset + length) of a file. Throws PareError where it ends before. */
export async function readRange(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = allocate(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, Math.min(chunkBytes, length - at), offset + at);
    if (bytesRead === 0) throw new PareError(`the file ends at byte ${offset + at}, before byte ${offset + length}`);
    at += bytesRead;
  }
  return bytes;
}

function allocate(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new PareError(`no memory for ${length} bytes in one piece`, "input", { cause });
  }
}

/** Gives every tensor its bytes: views of buffers that together are no larger than the files. */
export async function loadExternals(tensors: readonly External[], folder: string): Promise<void> {
  for (const [location, list] of groups(tensors)) {
    const file = await openInside(folder, location, list[0]!.where);
    try {
      const { size } = await file.stat();
      for (const t of list)
        if (t.offset + t.length > size)
          throw new PareError(
            `${t.where}: its bytes ${t.offset} to ${t.offset + t.length} are to be in ${quote(location)}, which has only ${size}`,
          );
      for (const run of runs(list)) {
        const bytes = await readRange(file, run.start, run.end - run.start);
        for (const t of run.tensors) t.fill(bytes.subarray(t.offset - run.start, t.offset - run.start + t.length));
      }
    } finally {
      await file.close();
    }
  }
}

function groups(tensors: readonly External[]): Map<string, External[]> {
  const byLocation = new Map<string, External[]>();
  for (const t of tensors) {
    const list = byLocation.get(t.location);
    if (list) list.push(t);
    else byLocation.set(t.location, [t]);
  }
  return byLocation;
}

/** Tensors whose ranges overlap share a buffer. */
function runs(tensors: readonly External[]): { start: number; end: number; tensors: External[] }[] {
  const found: { start: number; end: number; tensors: External[] }[] = [];
  for (const t of [...tensors].sort((a, b) => a.offset - b.offset)) {
    const last = found.at(-1);
    if (last && t.offset < last.end) {
      last.end = Math.max(last.end, t.offset + t.length);
      last.tensors.push(t);
    } else found.push({ start: t.offset, end: t.offset + t.length, tensors: [t] });
  }
  return found;
}

/** Opens a regular file inside a folder. Absolute paths, "..", and links that lead outside are refused. */
async function openInside(folder: string, location: string, where: string): Promise<FileHandle> {
  const refused = (why: string) =>
    new PareError(
      `${where}: its data are to be in ${quote(location)}, ${why}; external data must be in the model's folder`,
    );
  if (posix.isAbsolute(location) || win32.isAbsolute(location) || /^[a-z]:/i.test(location))
    throw refused("an absolute path");
  if (location.split(/[\\/]/).includes("..")) throw refused("outside the model's folder");
  if (location.includes("\0")) throw refused("which is no path");
  try {
    const [home, real] = await Promise.all([realpath(folder), realpath(join(folder, location))]);
    const way = relative(home, real);
    if (way === ".." || way.startsWith(`..${sep}`) || isAbsolute(way))
      throw refused("a link that leads outside the model's folder");
    return await openRegular(real);
  } catch (error) {
    if (error instanceof PareError && !(error instanceof NotRegular)) throw error;
    throw new PareError(`${where}: its data are to be in ${quote(location)}: ${wording(error)}`, "input", {
      cause: error,
    });
  }
}

class NotRegular extends PareError {}

/** Opens a file without waiting, as opening a pipe would. Throws PareError where it is a folder, a pipe, a device; else the system's error. */
export async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  const info = await file.stat();
  if (info.isFile()) return file;
  await file.close();
  throw new NotRegular(info.isDirectory() ? "is a folder, not a file" : "is not a regular file");
}

/** A system error in words. */
export function wording(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Record<string, string> = {
    ENOENT: "no such file or folder",
    EACCES: "no permission",
    EPERM: "not permitted",
    EISDIR: "is a folder",
    ENOTDIR: "a part of the path is not a folder",
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "larger than the system allows a file to be",
    EROFS: "the disk is read-only",
    ENAMETOOLONG: "the name is too long",
    ELOOP: "links that go round in circles",
    EMFILE: "too many open files",
    EIO: "the disk fails",
  };
  return (code && words[code]) ?? message;
}
