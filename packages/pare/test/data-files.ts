/** Small data files for tests, good ones to be damaged: where they are put, how they are read back. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { crc32, deflateRawSync } from "node:zlib";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import type { Dataset } from "../dist/data/dataset.js";
import { open } from "../dist/data/open.js";
import { PareError } from "../dist/graph/error.js";

export const folder = mkdtempSync(join(tmpdir(), "pare-data-"));
after(() => rmSync(folder, { recursive: true, force: true }));
export const shared = fileURLToPath(new URL("../../../../shared/data", import.meta.url));

export const put = (name: string, bytes: Uint8Array | string): string => {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
};
export const everything = (d: Dataset, input = 0): number[] => [
  ...(d.batch([...Array(d.length).keys()]).inputs[input]!.data as Float32Array),
];
export const labels = (d: Dataset): number[] => [...d.batch([...Array(d.length).keys()]).labels!];
export const refused = async (path: string, pattern: RegExp, options = {}): Promise<void> => {
  await assert.rejects(open(path, options), (e: unknown) => {
    assert.ok(e instanceof PareError, `not a PareError: ${(e as Error).stack}`);
    assert.match(e.message, pattern);
    return true;
  });
};
export const bytes = (...parts: (ArrayLike<number> | string)[]): Uint8Array =>
  Buffer.concat(parts.map((p) => (typeof p === "string" ? Buffer.from(p, "latin1") : Buffer.from(Uint8Array.from(p)))));
export const be32 = (...values: number[]): number[] =>
  values.flatMap((v) => [v >>> 24, (v >> 16) & 255, (v >> 8) & 255, v & 255]);

export const images = bytes([0, 0, 8, 3], be32(3, 2, 2), [0, 51, 102, 153, 1, 2, 3, 4, 5, 6, 7, 8]);
export const idxLabels = bytes([0, 0, 8, 1], be32(3), [2, 0, 1]);

export const npy = (
  dtype: string,
  shape: string,
  values: ArrayBufferView | Uint8Array,
  { version = 1, fortran = "False" } = {},
): Uint8Array => {
  const width = version === 1 ? 10 : 12;
  let header = `{'descr': '${dtype}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  header += `${" ".repeat(63 - ((width + header.length) % 64))}\n`;
  const n = header.length;
  const length = version === 1 ? [n & 255, n >> 8] : [n & 255, n >> 8, 0, 0];
  return bytes(
    "\x93NUMPY",
    [version, 0],
    length,
    header,
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  );
};

/** A zip archive as NumPy writes it; `wide` puts the sizes into ZIP64 fields. */
export function zip(files: Record<string, Uint8Array>, { deflate = false, wide = false } = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  const le16 = (v: number): number[] => [v & 255, v >> 8];
  const le32 = (v: number): number[] => [v & 255, (v >>> 8) & 255, (v >>> 16) & 255, v >>> 24];
  let at = 0;
  for (const [name, content] of Object.entries(files)) {
    const body = deflate ? deflateRawSync(content) : content;
    const head = [...le16(20), ...le16(0), ...le16(deflate ? 8 : 0), 0, 0, 0, 0, ...le32(crc32(content))];
    const extra = wide
      ? [1, 0, 24, 0, ...le32(content.length), 0, 0, 0, 0, ...le32(body.length), 0, 0, 0, 0, ...le32(at), 0, 0, 0, 0]
      : [];
    const all = le32(0xffffffff);
    const sizes = wide ? [...all, ...all] : [...le32(body.length), ...le32(content.length)];
    const local = bytes("PK\x03\x04", head, sizes, le16(name.length), le16(extra.length), name, extra, body);
    directory.push(
      bytes(
        "PK\x01\x02",
        le16(20),
        head,
        sizes,
        le16(name.length),
        le16(extra.length),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        wide ? all : le32(at),
        name,
        extra,
      ),
    );
    parts.push(local);
    at += local.length;
  }
  const size = directory.reduce((s, d) => s + d.length, 0);
  const count = le16(directory.length);
  return bytes(...parts, ...directory, "PK\x05\x06", [0, 0, 0, 0], count, count, le32(size), le32(at), [0, 0]);
}

export const x = npy("<f4", "(4, 2)", Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
export const y = npy("<i8", "(4,)", BigInt64Array.of(1n, 0n, 2n, 1n));

export const record = (label: number, fill: number): Uint8Array => bytes([label], new Uint8Array(3072).fill(fill));

export const png = (width: number, height: number, rgb: [number, number, number], colorType: 0 | 2 = 2): Uint8Array => {
  const image = new PNG({ width, height });
  for (let p = 0; p < width * height; p++) image.data.set([...rgb, 255], 4 * p);
  return PNG.sync.write(image, { colorType });
};
export const jpg = (width: number, height: number, level: number): Uint8Array =>
  jpeg.encode({ width, height, data: Buffer.alloc(width * height * 4, level) }, 95).data;
