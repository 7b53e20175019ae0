/** NumPy's .npy files: bytes enter, an array leaves. C order; every dtype of whole numbers, booleans and real numbers. */
import { PareError } from "../graph/error.js";
import { float16Value } from "../graph/float16.js";
import { sizeOf } from "../graph/tensor.js";
import type { RawArray } from "./raw-array.js";

interface Header {
  readonly dtype: string;
  readonly dims: readonly number[];
  /** Where the values start, and how many bytes they take. */
  readonly offset: number;
  readonly size: number;
}

/** Bytes per element and how to read element at `at`; the first letter of a dtype (byte order) is dealt with apart. */
const widths: Readonly<Record<string, number>> = {
  b1: 1,
  u1: 1,
  i1: 1,
  u2: 2,
  i2: 2,
  u4: 4,
  i4: 4,
  u8: 8,
  i8: 8,
  f2: 2,
  f4: 4,
  f8: 8,
};
const maxHeader = 1 << 20;

/** Total size of an .npy file by its header; null where more of it is needed. Throws where it is no .npy file. */
export function npySize(head: Uint8Array, name: string): number | null {
  const header = readHeader(head, name);
  return header && header.offset + header.size;
}

/** The array of an .npy file. Throws where it is truncated, too long, in Fortran order or of a dtype without numbers. */
export function readNpy(bytes: Uint8Array, name: string): RawArray {
  const header = readHeader(bytes, name);
  if (!header) throw new PareError(`${name}: truncated within its header (${bytes.length} bytes)`);
  const { dtype, dims, offset, size } = header;
  if (bytes.length !== offset + size)
    throw new PareError(
      `${name}: its header declares ${dtype} [${dims}], ${offset + size} bytes; the file has ${bytes.length}: it is ${bytes.length < offset + size ? "truncated" : "too long"}`,
    );
  const values = bytes.slice(offset);
  const kind = dtype.slice(1);
  if (dtype[0] === ">") swap(values, widths[kind]!);
  return { dims, data: typed(values.buffer, kind) };
}

function readHeader(bytes: Uint8Array, name: string): Header | null {
  const magic = "\x93NUMPY";
  for (let i = 0; i < Math.min(bytes.length, 6); i++)
    if (bytes[i] !== magic.charCodeAt(i))
      throw new PareError(`${name}: not an .npy file: it does not start with \\x93NUMPY`);
  if (bytes.length < 12) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw new PareError(`${name}: .npy version ${version}: Pare reads 1 to 3`);
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maxHeader) throw new PareError(`${name}: an .npy header of ${length} bytes`);
  if (bytes.length < start + length) return null;
  const text = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const dtype = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const fortran = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (fortran === undefined || shape === undefined)
    throw new PareError(`${name}: an .npy header that cannot be read: ${text.trim().slice(0, 120)}`);
  const dims = shape.split(",").flatMap((d) => (d.trim() === "" ? [] : [Number.parseInt(d, 10)]));
  const width = dtype && /^[<>|=]/.test(dtype) ? widths[dtype.slice(1)] : undefined;
  if (dtype === undefined || width === undefined)
    throw new PareError(
      `${name}: dtype ${dtype ?? /'descr'\s*:\s*([^,]*)/.exec(text)?.[1] ?? "?"}: Pare reads bool, integers and floats of 16 to 64 bits`,
    );
  const size = sizeOf(dims) * width;
  if (!Number.isSafeInteger(size))
    throw new PareError(`${name}: its header declares [${dims}]: more than any file holds`);
  if (fortran === "True" && dims.filter((d) => d > 1).length > 1)
    throw new PareError(`${name}: its values are in Fortran order: save np.ascontiguousarray(array)`);
  return { dtype, dims, offset: start + length, size };
}

function swap(bytes: Uint8Array, width: number): void {
  for (let i = 0; i < bytes.length; i += width) bytes.subarray(i, i + width).reverse();
}

function typed(buffer: ArrayBuffer, kind: string): RawArray["data"] {
  switch (kind) {
    case "u1":
      return new Uint8Array(buffer);
    case "b1":
      return Float32Array.from(new Uint8Array(buffer), (v) => (v ? 1 : 0));
    case "i1":
      return new Int8Array(buffer);
    case "u2":
      return new Uint16Array(buffer);
    case "i2":
      return new Int16Array(buffer);
    case "u4":
      return new Uint32Array(buffer);
    case "i4":
      return new Int32Array(buffer);
    case "u8":
    case "i8":
      return new BigInt64Array(buffer);
    case "f2":
      return Float32Array.from(new Uint16Array(buffer), float16Value);
    case "f4":
      return new Float32Array(buffer);
    default:
      return new Float64Array(buffer);
  }
}
