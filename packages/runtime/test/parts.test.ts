/** The parts that both sides of a packed file compute with: each against what it is by definition. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RangeDecoder } from "../dist/bit-coder.js";
import { crc32 } from "../dist/crc32.js";
import { FormatError } from "../dist/error.js";
import { fromHalf, toHalf } from "../dist/half.js";
import { BitReader, canonicalCodes, symbolReader } from "../dist/huffman.js";
import { ln, logit, squash, stretch } from "../dist/logistic.js";
import type { ElementType } from "../dist/model.js";
import { typedArray } from "../dist/typed-array.js";

test("crc32 of the usual check string", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  assert.equal(crc32(new Uint8Array()), 0);
});

test("ln, logit and squash from tables", () => {
  for (let x = 1e-6; x < 1e6; x *= 1.0137) assert.ok(Math.abs(ln(x) - Math.log(x)) < 1e-10, `ln(${x})`);
  for (let i = 0; i < 4096; i++) {
    const p = (i + 0.5) / 4096;
    assert.ok(Math.abs(stretch[i]! - Math.log(p / (1 - p))) < 1e-9);
    assert.ok(Math.abs(squash(logit(p)) - p) < 1e-5, `squash(logit(${p}))`);
  }
  assert.ok(squash(-100) > 0 && squash(100) < 1);
});

test("float16 patterns and values", () => {
  for (let pattern = 0; pattern < 65536; pattern++) {
    const value = fromHalf(pattern);
    if (Number.isNaN(value)) assert.equal(toHalf(value), null);
    else assert.equal(toHalf(value), pattern, `${value}`);
  }
  for (const value of [0.1, 65520, 1 + 2 ** -11, 2 ** -25, 1e-9]) assert.equal(toHalf(value), null, `${value}`);
  assert.equal(toHalf(65504), 0x7bff);
});

test("canonical Huffman codes", () => {
  const lengths = [2, 3, 3, 0, 1];
  assert.deepEqual([...canonicalCodes(lengths)], [0b10, 0b110, 0b111, 0, 0b0]);
  // 4, 0, 1, 2: 0 10 110 111, from the lowest bit up.
  const read = symbolReader(lengths);
  const bits = new BitReader(Uint8Array.of(0b11_011_01_0, 0b1));
  assert.deepEqual([read(bits), read(bits), read(bits), read(bits)], [4, 0, 1, 2]);
  assert.throws(() => canonicalCodes([1, 1, 1]), FormatError);
  assert.throws(() => symbolReader([1])(new BitReader(Uint8Array.of(1, 255, 255, 255))), FormatError);
  assert.throws(() => symbolReader([15, 15])(new BitReader(new Uint8Array(1))), FormatError);
});

test("the range decoder ends where its bytes end", () => {
  const io = new RangeDecoder(Uint8Array.of(1, 2, 3), 0, 2, 2, 10);
  assert.throws(() => {
    for (let i = 0; i < 1000; i++) io.bit(32768, 0);
  }, /coded section ends early/);
  assert.deepEqual([...io.plain(1)], [3]);
  assert.throws(() => io.plain(1), /needs 1 plain bytes, 0 are left/);
  io.spend(10, "test");
  assert.throws(() => io.spend(1, "test"), /limit of 10/);
});

test("tensors as typed arrays", () => {
  const of = (type: ElementType, dims: number[], bytes: number[]) =>
    typedArray({ type, dims, bytes: Uint8Array.from(bytes) });
  assert.deepEqual(of("float32", [1], [0, 0, 128, 63]), Float32Array.of(1));
  assert.deepEqual(of("int64", [1], [254, 255, 255, 255, 255, 255, 255, 255]), BigInt64Array.of(-2n));
  assert.deepEqual(of("float16", [1], [0, 60]), Uint16Array.of(0x3c00));
  assert.deepEqual(of("complex64", [1], [0, 0, 128, 63, 0, 0, 0, 64]), Float32Array.of(1, 2));
  assert.deepEqual(of("int4", [3], [0x21, 0x03]), Uint8Array.of(0x21, 3));
  assert.throws(() => of("float32", [2], [0, 0, 128, 63]), FormatError);
});
