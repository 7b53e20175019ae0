/** .pare bytes -> the model they hold. */
import { RangeDecoder } from "./bit-coder.js";
import { crc32 } from "./crc32.js";
import { FormatError } from "./error.js";
import { Fields } from "./fields.js";
import { checkedFrom, magic, unitLimit, version } from "./format.js";
import type { Model } from "./model.js";
import { nameModel } from "./naming.js";
import { Earlier } from "./plane.js";
import { tensorContents } from "./tensors.js";
import { Topology } from "./topology.js";

export interface DecodeOptions {
  /** Elements and graph parts that the file may hold; by default 4 M and 2048 for each of its bytes. */
  readonly maxUnits?: number;
}

/** Whether `bytes` begin like a packed file. */
export const isPacked = (bytes: Uint8Array): boolean => magic.every((b, i) => bytes[i] === b);

/** Reads a packed file whole. Throws FormatError where it is cut off, altered, of another version or asks for too much. */
export function decode(bytes: Uint8Array, options: DecodeOptions = {}): Model {
  if (!isPacked(bytes)) throw new FormatError('does not begin with "PARE": not a packed model', "byte 0");
  if (bytes.length <= checkedFrom) throw new FormatError(`cut off after ${bytes.length} bytes`, `byte ${bytes.length}`);
  if (bytes[4] !== version)
    throw new FormatError(`version ${bytes[4]}; this reader knows version ${version}`, "byte 4");
  const checked = bytes.subarray(checkedFrom);
  const said = new DataView(bytes.buffer, bytes.byteOffset).getUint32(5, true);
  const is = crc32(checked);
  if (said !== is)
    throw new FormatError(`checksum ${hex(said)}, contents have ${hex(is)}: the file is cut off or altered`, "byte 5");
  let at = checkedFrom;
  let length = 0;
  for (let shift = 1; ; shift *= 128) {
    const b = bytes[at++];
    if (b === undefined || shift > 2 ** 35) throw new FormatError("no length of the coded section", `byte ${at}`);
    length += (b & 127) * shift;
    if (b < 128) break;
  }
  if (length > bytes.length - at)
    throw new FormatError(`a coded section of ${length} bytes, ${bytes.length - at} are left`, `byte ${at}`);
  const limit = options.maxUnits ?? unitLimit(bytes.length);
  const io = new RangeDecoder(bytes, at, at + length, at + length, limit);
  try {
    const f = new Fields(io);
    const topology = new Topology(f);
    const numbered = topology.model();
    const earlier = new Earlier();
    for (const t of topology.tensors) tensorContents(io, f, earlier, t, null);
    io.finish();
    return nameModel(numbered);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`contents make no sense (${(cause as Error).message})`, "coded section");
  }
}

const hex = (n: number): string => n.toString(16).padStart(8, "0");
