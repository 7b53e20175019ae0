/** The accounting of Deep Compression's tables, against a tensor that is counted by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { floats } from "../dist/graph/tensor.js";
import { deepCompressionTable } from "../dist/pack/deep-compression-table.js";
import { sumOf } from "./support/small-graph.js";

test("survivors, fillers, bits and bytes of one layer", () => {
  // Gaps of at most 3 (2 bits): survivors at 0, 2, 3, 12 need gaps 0, 1, 0, then 3 zeros + filler, 3 zeros + filler, 0 zeros + survivor.
  const w = new Float32Array(16);
  [w[0], w[2], w[3], w[12]] = [0.5, -0.5, 0.5, 0.5];
  const [row] = deepCompressionTable(sumOf({ w: floats(w, [4, 4]) }), { conv: 2, dense: 2 });
  assert.ok(row);
  assert.deepEqual([row.name, row.weights, row.kept, row.fillers], ["w", 16, 4, 2]);
  // Gaps 0 1 0 3 3 0; values + - + filler filler +: three symbols need 2 bits each.
  assert.equal(row.valueBits[0], 2);
  assert.equal(row.gapBits[0], 2);
  // Huffman: values 3 x 1 bit, 2 x 2, 1 x 2 = 9 bits; gaps 3 x 1, 2 x 2, 1 x 2 = 9 bits; six entries.
  assert.ok(Math.abs(row.valueBits[1] - 9 / 6) < 1e-9, `values: ${row.valueBits[1]} bits`);
  assert.ok(Math.abs(row.gapBits[1] - 9 / 6) < 1e-9, `gaps: ${row.gapBits[1]} bits`);
  // Two centroids of 4 bytes; 6 x 4 bits, or 18 bits and code tables of 4 bits a symbol (3 values, 4 gaps).
  assert.deepEqual(row.bytes, [24 / 8 + 8, Math.ceil((18 + 28) / 8) + 8]);
});
