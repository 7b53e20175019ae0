/** Whichever field of TensorProto holds the elements, the Graph has the same raw little-endian bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { decodeTensor } from "../dist/graph/decode-tensor.js";
import { encodeTensor } from "../dist/graph/encode.js";
import { TensorProtoSchema } from "../dist/graph/generated/onnx_pb.js";
import type { ElementType, Tensor } from "../dist/graph/graph.js";
import { dataTypeNumber } from "../dist/graph/tensor.js";

/** A TensorProto's bytes with extra fields written by hand. */
function proto(type: ElementType, dims: number[], body: (w: BinaryWriter) => BinaryWriter): Uint8Array {
  const head = toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, { dims: dims.map(BigInt), dataType: dataTypeNumber(type) }),
  );
  return new BinaryWriter().raw(head).raw(body(new BinaryWriter()).finish()).finish();
}
const decoded = (bytes: Uint8Array): Tensor => decodeTensor(fromBinary(TensorProtoSchema, bytes), "t");
const bytesOf = (a: ArrayBufferView): number[] => [...new Uint8Array(a.buffer, a.byteOffset, a.byteLength)];

const int32Data = (values: number[]) => (w: BinaryWriter) => {
  w.tag(5, WireType.LengthDelimited).fork();
  for (const v of values) w.int32(v);
  return w.join();
};

test("int32_data carries every type of up to 32 bits", () => {
  const cases: [ElementType, number[], number[], number[]][] = [
    ["int32", [3], [1, -2, 2 ** 31 - 1], bytesOf(Int32Array.of(1, -2, 2 ** 31 - 1))],
    ["int16", [2], [-3, 300], bytesOf(Int16Array.of(-3, 300))],
    ["uint16", [2], [65535, 7], bytesOf(Uint16Array.of(65535, 7))],
    ["int8", [2], [-128, 127], bytesOf(Int8Array.of(-128, 127))],
    ["uint8", [2], [255, 1], [255, 1]],
    ["bool", [3], [1, 0, 1], [1, 0, 1]],
    ["float16", [2], [0x3c00, 0xfbff], bytesOf(Uint16Array.of(0x3c00, 0xfbff))],
    ["bfloat16", [2], [0x3f80, 0xffc0], bytesOf(Uint16Array.of(0x3f80, 0xffc0))],
    ["float8e4m3fn", [2], [0x7e, 0x81], [0x7e, 0x81]],
    ["float8e5m2", [2], [0x7b, 0x80], [0x7b, 0x80]],
    ["float8e8m0", [1], [127], [127]],
    ["int4", [3], [0x21, 0x0f], [0x21, 0x0f]],
    ["uint4", [2], [0xf1], [0xf1]],
    ["uint2", [5], [0b11100100, 0b01], [0b11100100, 0b01]],
    ["float6e2m3", [4], [0b000001, 0b000011, 0b111111, 0b100000], [0b11000001, 0b11110000, 0b10000011]],
  ];
  for (const [type, dims, values, expected] of cases)
    assert.deepEqual([...decoded(proto(type, dims, int32Data(values))).bytes], expected, type);
});

test("float_data and double_data are taken as they are, without a copy, complex numbers as pairs", () => {
  const packed = (no: number, a: ArrayBufferView) => (w: BinaryWriter) =>
    w.tag(no, WireType.LengthDelimited).bytes(Uint8Array.from(bytesOf(a)));
  const floats = proto("float32", [2], packed(4, Float32Array.of(1.5, -0)));
  const t = decoded(floats);
  assert.deepEqual([...t.bytes], bytesOf(Float32Array.of(1.5, -0)));
  assert.equal(t.bytes.buffer, floats.buffer);
  assert.deepEqual(
    [...decoded(proto("complex64", [1], packed(4, Float32Array.of(1, 2)))).bytes],
    bytesOf(Float32Array.of(1, 2)),
  );
  assert.deepEqual(
    [...decoded(proto("float64", [1], packed(10, Float64Array.of(Math.PI)))).bytes],
    bytesOf(Float64Array.of(Math.PI)),
  );
  assert.deepEqual(
    [...decoded(proto("complex128", [1], packed(10, Float64Array.of(1, 2)))).bytes],
    bytesOf(Float64Array.of(1, 2)),
  );
});

test("int64_data and uint64_data keep all 64 bits", () => {
  const values = [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 35n + 5n, 127n, 128n, -(2n ** 31n)];
  const t = decoded(
    proto("int64", [values.length], (w) => {
      w.tag(7, WireType.LengthDelimited).fork();
      for (const v of values) w.int64(v);
      return w.join();
    }),
  );
  assert.deepEqual([...t.bytes], bytesOf(BigInt64Array.from(values)));
  const unsigned = [2n ** 64n - 1n, 2n ** 32n, 3n];
  const uint64 = (w: BinaryWriter) => {
    w.tag(11, WireType.LengthDelimited).fork();
    for (const v of unsigned) w.uint64(v);
    return w.join();
  };
  assert.deepEqual([...decoded(proto("uint64", [3], uint64)).bytes], bytesOf(BigUint64Array.from(unsigned)));
  const uint32 = (w: BinaryWriter) => w.tag(11, WireType.LengthDelimited).fork().uint64(4294967295).uint64(9).join();
  assert.deepEqual([...decoded(proto("uint32", [2], uint32)).bytes], bytesOf(Uint32Array.of(4294967295, 9)));
});

test("lists that are not packed, or packed in several parts, are put together in order", () => {
  const loose = (w: BinaryWriter) => w.tag(4, WireType.Bit32).float(1).tag(4, WireType.Bit32).float(2);
  assert.deepEqual([...decoded(proto("float32", [2], loose)).bytes], bytesOf(Float32Array.of(1, 2)));
  const mixed = (w: BinaryWriter) =>
    w.tag(7, WireType.Varint).int64(-5).tag(7, WireType.LengthDelimited).fork().int64(300).int64(1).join();
  assert.deepEqual([...decoded(proto("int64", [3], mixed)).bytes], bytesOf(BigInt64Array.of(-5n, 300n, 1n)));
});

test("strings are byte strings, UTF-8 or not", () => {
  const strings = [Uint8Array.of(0xff, 0xfe), new TextEncoder().encode("größe"), new Uint8Array(0)];
  const t = decoded(
    proto("string", [3], (w) => strings.reduce((w, s) => w.tag(6, WireType.LengthDelimited).bytes(s), w)),
  );
  assert.deepEqual(
    t.strings?.map((s) => [...s]),
    strings.map((s) => [...s]),
  );
  assert.deepEqual(decoded(encodeTensor("", t).join()), t);
});

test("what the Graph has no place for is written back: doc string, metadata, unknown fields", () => {
  const bytes = proto("float32", [1], (w) =>
    w
      .tag(9, WireType.LengthDelimited)
      .bytes(Uint8Array.of(0, 0, 128, 63))
      .tag(12, WireType.LengthDelimited)
      .string("why")
      .tag(99, WireType.Varint)
      .uint32(5),
  );
  const again = fromBinary(TensorProtoSchema, encodeTensor("w", decoded(bytes)).join());
  assert.equal(again.docString, "why");
  assert.equal(again.name, "w");
  assert.deepEqual(
    again.$unknown?.map((u) => [u.no, [...u.data]]),
    [[99, [5]]],
  );
});

test("data that do not fit type and dims are refused with both numbers", () => {
  const raw = (type: ElementType, dims: number[], length: number) =>
    proto(type, dims, (w) => w.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(length)));
  assert.throws(() => decoded(raw("float32", [2, 3], 20)), /t: float32 \[2,3\] needs 24 bytes, the file has 20/);
  assert.throws(() => decoded(raw("int4", [3], 3)), /needs 2 bytes, the file has 3/);
  assert.throws(() => decoded(proto("float32", [2 ** 40, 2 ** 40], (w) => w)), /is not one that a tensor can have/);
  assert.throws(() => decoded(proto("string", [2], (w) => w)), /needs 2 strings, string_data has 0/);
  assert.throws(() => decoded(proto("float32", [1], int32Data([1]))), /float32 cannot stand in int32_data/);
  assert.throws(
    () => decoded(proto("int64", [1], (w) => w.tag(7, 2).bytes(Uint8Array.of(0x80)))),
    /ends inside a number/,
  );
  const unknownType = create(TensorProtoSchema, { dataType: 77 });
  assert.throws(() => decodeTensor(unknownType, "t"), /element type 77/);
});
