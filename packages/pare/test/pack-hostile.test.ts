/** Bad packed files: each gives one PareError that says where, soon and in bounded memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { codingBits, codings, crc32, Fields, Topology } from "@pare/runtime/writer";
import { fromBytes } from "../dist/graph/decode.js";
import { PareError } from "../dist/graph/error.js";
import { floats } from "../dist/graph/tensor.js";
import { numberModel } from "../dist/pack/number.js";
import { assemble, pack, unpack } from "../dist/pack/pack.js";
import { RangeEncoder } from "../dist/pack/range-encoder.js";
import { damagePacked, sealed } from "./fuzz/damage-packed.js";
import { handMadeModels, sparseWeights } from "./support/hand-made.js";
import { seeded } from "./support/ort-outputs.js";
import { sumOf } from "./support/small-graph.js";

const files: Record<string, Uint8Array> = {
  ...Object.fromEntries(Object.entries(handMadeModels()).map(([name, bytes]) => [name, pack(fromBytes(bytes))])),
  weights: pack(sparseWeights()),
  published: pack(sparseWeights(), { coder: "deep-compression" }),
};

/** True where the file is good. Any other error than a PareError fails the test. */
function unpacks(bytes: Uint8Array, what: string): boolean {
  try {
    unpack(bytes);
    return true;
  } catch (error) {
    assert.ok(error instanceof PareError, `${what}: ${error instanceof Error ? error.stack : error}`);
    assert.ok(error.message.length < 10_000, what);
    return false;
  }
}

test("cut off after any byte", () => {
  for (const [name, bytes] of Object.entries(files))
    for (let end = 0; end < bytes.length; end++)
      assert.ok(!unpacks(bytes.subarray(0, end), `${name} cut at ${end}`), `${name} cut at ${end} went unnoticed`);
});

test("any bit flipped", () => {
  for (const [name, bytes] of Object.entries(files))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      assert.ok(!unpacks(damaged, `${name}, bit ${bit}`), `${name}, bit ${bit} went unnoticed`);
    }
});

test("damage under a right checksum", () => {
  for (const [name, bytes] of Object.entries(files)) {
    for (let seed = 0; seed < 60; seed++) {
      const started = performance.now();
      unpacks(sealed(damagePacked(bytes, seeded(seed))), `${name}, seed ${seed}`);
      assert.ok(performance.now() - started < 10_000, `${name}, seed ${seed}`);
    }
  }
});

test("bytes behind the end", () => {
  for (const [name, bytes] of Object.entries(files)) {
    const longer = new Uint8Array(bytes.length + 3);
    longer.set(bytes);
    assert.ok(!unpacks(sealed(longer), name), name);
  }
});

test("what is wrong is said", () => {
  const good = files.weights!;
  const says = (bytes: Uint8Array, message: RegExp) =>
    assert.throws(
      () => unpack(bytes),
      (e) => e instanceof PareError && message.test(e.message),
    );
  const changed = (at: number, to: number) => {
    const bytes = good.slice();
    bytes[at] = to;
    return bytes;
  };
  says(new Uint8Array(0), /not a readable \.pare file: byte 0: does not begin with "PARE"/);
  says(Uint8Array.from([0x08, 0x0a, 0x12]), /not a packed model/);
  says(good.subarray(0, 7), /cut off after 7 bytes/);
  says(changed(4, 9), /version 9; this reader knows version 1/);
  says(changed(20, good[20]! ^ 1), /checksum [0-9a-f]{8}, contents have [0-9a-f]{8}: the file is cut off or altered/);
  says(sealed(good.subarray(0, good.length - 40)), /byte \d+: needs \d+ plain bytes, \d+ are left/);
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

/** A file of one initialiser whose dims claim more than it holds. */
function lying(dims: readonly number[], coding: "constant" | "raw" | "floats" | "codebook"): Uint8Array {
  const io = new RangeEncoder();
  const f = new Fields(io);
  const topology = new Topology(f);
  const graph = sumOf({ w: { type: "float32", dims, bytes: new Uint8Array(4) } });
  topology.model(numberModel(graph, false));
  f.choice("coding", codingBits, codings.indexOf(coding));
  f.bytes("constant", new Uint8Array(4));
  return assemble(io);
}
test("a small file that asks for a large tensor", () => {
  const started = performance.now();
  for (const coding of ["constant", "raw", "floats", "codebook"] as const) {
    for (const dims of [[1 << 15, 1 << 15], [2 ** 40], [2 ** 50, 2 ** 50, 2 ** 50], [2 ** 26, 2 ** 27]]) {
      const bytes = lying(dims, coding);
      assert.ok(bytes.length < 100);
      assert.throws(
        () => unpack(bytes),
        (e) => e instanceof PareError && /limit of|plain bytes, 0 are left|beyond any file/.test(e.message),
        `${coding} [${dims}]`,
      );
    }
  }
  assert.ok(performance.now() - started < 2000);
});

test("a tensor so empty that a reader would not believe it still comes back", () => {
  const zeros = floats(new Float32Array(2 ** 24), [2 ** 24]);
  const one = floats(
    Float32Array.from({ length: 2 ** 23 }, (_, i) => (i === 77 ? 1 : 0)),
    [2 ** 12, 2 ** 11],
  );
  const bytes = pack(sumOf({ zeros, one }));
  assert.deepEqual([...unpack(bytes).initializers.values()], [zeros, one]);
});
