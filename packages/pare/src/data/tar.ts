/** Tar archives as npm packs them: bytes enter, files by name leave (views, not copies). */
import { PareError } from "../graph/error.js";

/** The plain files of a ustar archive. Throws where it is damaged. */
export function readTar(bytes: Uint8Array, name: string): ReadonlyMap<string, Uint8Array> {
  const text = (at: number, length: number): string =>
    new TextDecoder().decode(bytes.subarray(at, at + length)).replace(/\0.*$/s, "");
  const files = new Map<string, Uint8Array>();
  for (let at = 0; at + 512 <= bytes.length && bytes[at]; ) {
    const size = Number.parseInt(text(at + 124, 12).trim(), 8);
    if (text(at + 257, 5) !== "ustar" || !(size >= 0) || at + 512 + size > bytes.length)
      throw new PareError(`${name}: a damaged tar archive at byte ${at}`);
    const kind = bytes[at + 156]!;
    if (kind === 0 || kind === 0x30) files.set(text(at, 100), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
