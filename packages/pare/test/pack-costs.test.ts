/** The price list for quantizers says what the coder then really charges. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bitCosts } from "@pare/runtime/writer";
import { floats } from "../dist/graph/tensor.js";
import { packedSize } from "../dist/pack/size.js";
import { seeded } from "./support/ort-outputs.js";
import { sumOf } from "./support/small-graph.js";

const random = seeded(21);
const values = [0, -0.5, 0.25, 0.5, -0.125];
const [rows, columns] = [60, 144];
/** Survivors lie in a patch of 12 x 12 pixels that wanders with the row. */
const indices = Uint8Array.from({ length: rows * columns }, (_, i) => {
  const [r, c] = [Math.floor(i / columns), i % columns];
  const distance = ((c % 12) - (r % 12)) ** 2 + (Math.floor(c / 12) - 6) ** 2;
  return random() < 0.8 / (1 + distance / 3) ? 1 + Math.floor(random() ** 2 * 3) : 0;
});
const costs = bitCosts(indices, values, [rows, columns]);
const spent = (i: number): number => (indices[i] ? costs.nonzero[i]! + costs.value[indices[i]!]! : costs.zero[i]!);

test("prices add up to the bytes of the file", () => {
  const promised = indices.reduce((sum, _, i) => sum + spent(i), 0) / 8;
  const w = floats(
    Float32Array.from(indices, (k) => values[k]!),
    [rows, columns],
  );
  const { bytes } = packedSize(sumOf({ w })).tensors[0]!;
  // The codebook comes on top.
  assert.ok(bytes > promised && bytes < 1.02 * promised + 16, `${promised} promised, ${bytes} charged`);
});

test("pixels are recognised, and lonely survivors cost more than those in company", () => {
  assert.equal(costs.geometry.width, 12);
  const where = (wanted: (n: number) => boolean) => {
    const found: number[] = [];
    for (let i = columns * 30; i < indices.length; i++) {
      const x = i % 12;
      if (x === 0 || x === 11 || i % columns < 12) continue;
      const company = [i - 1, i - 12, i - 13, i - 11].filter((j) => indices[j]).length;
      if (indices[i] && wanted(company)) found.push(costs.nonzero[i]!);
    }
    return found.reduce((sum, b) => sum + b, 0) / found.length;
  };
  assert.ok(where((n) => n === 0) > where((n) => n > 1) + 1);
});

test("a value that nobody uses has a price, zero has none, and there must be a zero", () => {
  assert.ok(costs.value[4]! > costs.value[1]!);
  assert.ok(Number.isNaN(costs.value[0]));
  assert.throws(() => bitCosts(Uint8Array.of(0, 1), [1, 2], [2]), /none of the values is 0/);
});
