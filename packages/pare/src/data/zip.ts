/** Zip archives as NumPy writes them (.npz): bytes enter, files by name leave, each inflated only when asked for. */
import { crc32, inflateRawSync } from "node:zlib";
import { PareError } from "../graph/error.js";
import { limitBytes } from "./read-bytes.js";

/** Inflates one file. `sizeOf` sees its first bytes and says how many there may be. */
export type ZipFile = (sizeOf: (head: Uint8Array) => number | null) => Uint8Array;

const maxEntries = 10_000;
const headBytes = 1 << 16;

/** The files of a zip archive. Throws where the directory is damaged; a file that is throws when it is read. */
export function readZip(bytes: Uint8Array, name: string): ReadonlyMap<string, ZipFile> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const damaged = (why: string): PareError => new PareError(`${name}: a damaged zip archive: ${why}`);
  const u16 = (at: number): number => {
    if (at < 0 || at + 2 > bytes.length) throw damaged(`it ends at byte ${bytes.length}, before ${at + 2}`);
    return view.getUint16(at, true);
  };
  const u32 = (at: number): number => {
    if (at < 0 || at + 4 > bytes.length) throw damaged(`it ends at byte ${bytes.length}, before ${at + 4}`);
    return view.getUint32(at, true);
  };
  const u64 = (at: number): number => u32(at) + u32(at + 4) * 2 ** 32;

  let end = bytes.length - 22;
  while (end >= Math.max(0, bytes.length - 22 - 0xffff) && u32(end) !== 0x06054b50) end--;
  if (end < Math.max(0, bytes.length - 22 - 0xffff))
    throw damaged("it has no directory: it is truncated, or not a zip archive");
  let count = u16(end + 10);
  let at = u32(end + 16);
  if ((count === 0xffff || at === 0xffffffff) && end >= 20 && u32(end - 20) === 0x07064b50) {
    const end64 = u64(end - 12);
    if (u32(end64) !== 0x06064b50) throw damaged("its 64-bit directory is missing");
    count = u64(end64 + 32);
    at = u64(end64 + 48);
  }
  if (count > maxEntries) throw damaged(`it declares ${count} files`);

  const files = new Map<string, ZipFile>();
  for (let i = 0; i < count; i++) {
    if (u32(at) !== 0x02014b50) throw damaged(`directory entry ${i} is none`);
    const [flags, method, crc] = [u16(at + 8), u16(at + 10), u32(at + 16)];
    let [packed, size, local] = [u32(at + 20), u32(at + 24), u32(at + 42)];
    const [nameLength, extraLength, commentLength] = [u16(at + 28), u16(at + 30), u16(at + 32)];
    const nameEnd = at + 46 + nameLength;
    u16(nameEnd + extraLength - 2);
    const title = new TextDecoder().decode(bytes.subarray(at + 46, nameEnd));
    for (let x = nameEnd; x + 4 <= nameEnd + extraLength; x += 4 + u16(x + 2)) {
      if (u16(x) !== 1) continue;
      let field = x + 4;
      const wide = (value: number): number => (value === 0xffffffff ? u64((field += 8) - 8) : value);
      size = wide(size);
      packed = wide(packed);
      local = wide(local);
      break;
    }
    at = nameEnd + extraLength + commentLength;
    const where = `${name}: "${title}"`;
    if (files.has(title)) throw damaged(`"${title}" is in it twice`);
    files.set(title, (sizeOf) => {
      if (flags & 1) throw new PareError(`${where} is encrypted`);
      if (u32(local) !== 0x04034b50) throw damaged(`"${title}" does not stand where the directory says`);
      const start = local + 30 + u16(local + 26) + u16(local + 28);
      if (start + packed > bytes.length) throw damaged(`"${title}" runs past the end: it is truncated`);
      const content = inflate(bytes.subarray(start, start + packed), method, size, where, sizeOf);
      if (crc32(content) >>> 0 !== crc) throw damaged(`the checksum of "${title}" is wrong`);
      return content;
    });
  }
  return files;
}

function inflate(
  packed: Uint8Array,
  method: number,
  size: number,
  where: string,
  sizeOf: (head: Uint8Array) => number | null,
): Uint8Array {
  const agreed = (head: Uint8Array): void => {
    const declared = sizeOf(head);
    if (declared !== null && declared !== size)
      throw new PareError(`${where} declares ${declared} bytes, the archive says ${size}: one of them is wrong`);
  };
  if (method === 0) {
    if (packed.length !== size)
      throw new PareError(`${where} is stored in ${packed.length} bytes, the archive says ${size}`);
    agreed(packed);
    return packed.slice();
  }
  if (method !== 8) throw new PareError(`${where} is packed by method ${method}: Pare reads stored and deflated files`);
  // deflate packs at most 1032 to 1: a bolder claim is refused before memory is spent on it
  if (size > packed.length * 1033 + 64 || size > limitBytes)
    throw new PareError(
      `${where} claims ${size} bytes from ${packed.length}: it is damaged, or too large to read into memory`,
    );
  try {
    if (size > headBytes) agreed(head(packed));
    const content = inflateRawSync(packed, { maxOutputLength: Math.max(1, size) });
    if (content.length !== size)
      throw new PareError(`${where} unpacks to ${content.length} bytes, the archive says ${size}`);
    agreed(content);
    return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  } catch (e) {
    if (e instanceof PareError) throw e;
    throw new PareError(`${where} cannot be unpacked (${(e as Error).message})`, "input", { cause: e });
  }
}

/** The first bytes of a deflated file, from as much of its packed bytes as they take. */
function head(packed: Uint8Array): Uint8Array {
  // Z_SYNC_FLUSH: a cut stream gives what it holds instead of an error
  return inflateRawSync(packed.subarray(0, headBytes), { finishFlush: 2, maxOutputLength: headBytes * 1100 });
}
