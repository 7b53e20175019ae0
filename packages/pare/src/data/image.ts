/** PNG and JPEG files: bytes enter, pixels c h w leave. Sizes are read from the header first, so that no file unpacks to more than it says. */
import { inflateSync } from "node:zlib";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";
import { PareError } from "../graph/error.js";

/** What the header says. */
export interface ImageHeader {
  readonly kind: "png" | "jpeg";
  readonly width: number;
  readonly height: number;
  readonly gray: boolean;
}
const maxPixels = 1 << 26;

/** Throws where the bytes are neither PNG nor JPEG, or declare more than 67 million pixels. */
export function imageHeader(bytes: Uint8Array, name: string): ImageHeader {
  const header = pngHeader(bytes) ?? jpegHeader(bytes, name);
  if (!header) throw new PareError(`${name}: neither a PNG nor a JPEG file`);
  const { width, height } = header;
  if (!width || !height || width * height > maxPixels)
    throw new PareError(`${name}: an image of ${width} x ${height}: Pare reads 1 to ${maxPixels} pixels`);
  return header;
}

/** Pixels c h w with `channels` 1 or 3 (gray is repeated, colour becomes gray by ITU-R 601; transparency is dropped). Throws where the file is damaged. */
export function readImage(bytes: Uint8Array, channels: 1 | 3, name: string): Uint8Array {
  const { kind, width, height, gray } = imageHeader(bytes, name);
  let rgba: Uint8Array;
  try {
    if (kind === "png") {
      if (bytes[28]) checkInterlaced(bytes, width, height);
      rgba = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).data;
    } else
      rgba = jpeg.decode(bytes, {
        useTArray: true,
        maxResolutionInMP: 70,
        maxMemoryUsageInMB: 1024,
        tolerantDecoding: false,
      }).data;
  } catch (e) {
    throw new PareError(`${name}: a damaged ${kind} file (${(e as Error).message})`, "input", { cause: e });
  }
  const size = width * height;
  if (rgba.length !== 4 * size)
    throw new PareError(`${name}: a damaged ${kind} file: ${rgba.length / 4} pixels, its header says ${size}`);
  const out = new Uint8Array(channels * size);
  for (let p = 0; p < size; p++) {
    const [r, g, b] = [rgba[4 * p]!, rgba[4 * p + 1]!, rgba[4 * p + 2]!];
    if (channels === 1) out[p] = gray ? r : Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    else {
      out[p] = r;
      out[size + p] = g;
      out[2 * size + p] = b;
    }
  }
  return out;
}

function pngHeader(bytes: Uint8Array): ImageHeader | null {
  const signature = [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10];
  if (bytes.length < 33 || signature.some((v, i) => bytes[i] !== v)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    kind: "png",
    width: view.getUint32(16),
    height: view.getUint32(20),
    gray: bytes[25] === 0 || bytes[25] === 4,
  };
}

/** Walks the segments up to the frame header (SOF). */
function jpegHeader(bytes: Uint8Array, name: string): ImageHeader | null {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (at + 9 < bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff) at++;
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      return { kind: "jpeg", height: view.getUint16(at + 5), width: view.getUint16(at + 7), gray: bytes[at + 9] === 1 };
    else at += 2 + view.getUint16(at + 2);
  }
  throw new PareError(`${name}: a damaged jpeg file: it has no frame header`);
}

/** pngjs inflates interlaced images without a limit: this does it with one first. At most 8 bytes per pixel, and a filter byte per row of each pass. */
function checkInterlaced(bytes: Uint8Array, width: number, height: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Uint8Array[] = [];
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at))
    if (view.getUint32(at + 4) === 0x49444154) chunks.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  inflateSync(Buffer.concat(chunks), { maxOutputLength: width * height * 8 + 2 * height + 64 });
}
