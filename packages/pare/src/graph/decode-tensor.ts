/** TensorProto -> Tensor: whichever field holds the elements, they leave as raw little-endian bytes, views of the file's where that is possible. */

import { PareError } from "./error.js";
import { extra, rest } from "./extra.js";
import type { TensorProto } from "./generated/onnx_pb.js";
import { TensorProto_DataLocation } from "./generated/onnx_pb.js";
import type { ElementType, Tensor } from "./graph.js";
import { say, type Where } from "./quote.js";
import { bitsOf, byteLengthOf, elementType, sizeOf } from "./tensor.js";

type Unknown = NonNullable<TensorProto["$unknown"]>[number];

/** The lists of numbers that onnx.proto here leaves undeclared: field number -> name and how one element is written. */
const lists: Readonly<Record<number, { name: string; wire: "varint" | 4 | 8; types: readonly ElementType[] }>> = {
  4: { name: "float_data", wire: 4, types: ["float32", "complex64"] },
  5: {
    name: "int32_data",
    wire: "varint",
    types: [
      ...(["int32", "int16", "int8", "uint16", "uint8", "bool", "float16", "bfloat16"] as const),
      ...(["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float8e8m0"] as const),
      ...(["int4", "uint4", "int2", "uint2", "float4e2m1", "float6e2m3", "float6e3m2"] as const),
    ],
  },
  7: { name: "int64_data", wire: "varint", types: ["int64"] },
  10: { name: "double_data", wire: 8, types: ["float64", "complex128"] },
  11: { name: "uint64_data", wire: "varint", types: ["uint32", "uint64"] },
};

/** Throws PareError, led by `where`, for an element type that does not exist, absurd dims, or data that do not fit them. */
export function decodeTensor(proto: TensorProto, where: Where): Tensor {
  const type = elementType(proto.dataType);
  if (type === null)
    throw new PareError(`${say(where)}: element type ${proto.dataType} is not one that ONNX 1.23 knows`);
  const dims = decodeDims(proto.dims, where);
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL)
    throw new PareError(`${say(where)}: its data are in a file of their own; read the model by its path, not as bytes`);
  const unknown = proto.$unknown?.filter((u) => !(u.no in lists));
  const kept = rest(proto, [
    ...(["name", "dims", "dataType", "rawData", "stringData", "$unknown"] as const),
    ...(["dataLocation", "externalData"] as const),
  ]);
  const more = unknown?.length ? { ...kept, $unknown: unknown } : kept;
  if (type === "string") {
    if (proto.stringData.length !== sizeOf(dims))
      throw new PareError(
        `${say(where)}: shape [${dims}] needs ${sizeOf(dims)} strings, string_data has ${proto.stringData.length}`,
      );
    return { type, dims, bytes: new Uint8Array(0), strings: proto.stringData, ...extra(more) };
  }
  const bytes = proto.rawData.length > 0 ? proto.rawData : listedBytes(proto.$unknown ?? [], type, where);
  const expected = byteLengthOf(type, dims);
  if (bytes.length !== expected)
    throw new PareError(`${say(where)}: ${type} [${dims}] needs ${expected} bytes, the file has ${bytes.length}`);
  return { type, dims, bytes, ...extra(more) };
}

/** Lengths of axes: each a non-negative safe integer, and so their product. */
export function decodeDims(dims: readonly bigint[], where: Where): number[] {
  const numbers = dims.map(Number);
  if (numbers.some((d) => !Number.isSafeInteger(d) || d < 0) || !Number.isSafeInteger(sizeOf(numbers)))
    throw new PareError(`${say(where)}: shape [${dims}] is not one that a tensor can have`);
  return numbers;
}

function listedBytes(unknown: readonly Unknown[], type: ElementType, where: Where): Uint8Array {
  const found = unknown.filter((u) => u.no in lists);
  if (found.length === 0) return new Uint8Array(0);
  const list = lists[found[0]!.no]!;
  if (!list.types.includes(type) || found.some((u) => u.no !== found[0]!.no))
    throw new PareError(`${say(where)}: elements of type ${type} cannot stand in ${list.name}`);
  const payloads = found.map((u) => (u.wireType === 2 ? unprefixed(u.data, where) : u.data));
  const payload = payloads.length === 1 ? payloads[0]! : joined(payloads);
  if (list.wire !== "varint") return payload;
  if (type === "float6e2m3" || type === "float6e3m2") return sixBits(varints(payload, 1, where));
  // Types under 8 bits stand in int32_data as whole bytes already.
  return varints(payload, Math.max(1, bitsOf[type] / 8), where);
}

/** A length-delimited field without its length. */
function unprefixed(data: Uint8Array, where: Where): Uint8Array {
  let start = 0;
  while (start < data.length && data[start]! & 0x80) start++;
  if (start >= data.length) throw new PareError(`${say(where)}: a list of numbers ends inside its length`);
  return data.subarray(start + 1);
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const c of chunks) {
    all.set(c, at);
    at += c.length;
  }
  return all;
}

/** Protobuf varints -> the low `width` bytes of each (1, 2, 4 or 8), little-endian. */
function varints(data: Uint8Array, width: number, where: Where): Uint8Array {
  let count = 0;
  for (const byte of data) if (byte < 0x80) count++;
  const out = new Uint8Array(count * width);
  const view = new DataView(out.buffer);
  let at = 0;
  for (let i = 0; i < count; i++) {
    let lo = 0;
    let hi = 0;
    let shift = 0;
    for (;;) {
      const byte = data[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) lo |= bits << shift;
      else if (shift === 28) {
        lo |= bits << 28;
        hi = bits >> 4;
      } else hi |= bits << (shift - 32);
      if (byte < 0x80) break;
      if ((shift += 7) > 63) throw new PareError(`${say(where)}: a number longer than 10 bytes`);
    }
    if (width === 1) out[i] = lo;
    else if (width === 2) view.setUint16(i * 2, lo & 0xffff, true);
    else view.setInt32(i * width, lo, true);
    if (width === 8) view.setInt32(i * 8 + 4, hi, true);
  }
  if (at !== data.length) throw new PareError(`${say(where)}: a list of numbers ends inside a number`);
  return out;
}

/** One 6-bit code per byte -> 4 codes in 3 bytes, first code in the lowest bits. */
function sixBits(codes: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil((codes.length * 6) / 8));
  codes.forEach((code, i) => {
    const bit = i * 6;
    const wide = (code & 63) << (bit & 7);
    out[bit >> 3]! |= wide & 0xff;
    if (wide > 0xff) out[(bit >> 3) + 1]! |= wide >> 8;
  });
  return out;
}
