/** Grids: what is rounded comes back within half a step, ranges and shapes are kept to, and what cannot be gridded is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PareError } from "../dist/graph/error.js";
import { dequantizeTensor, gridOf, groupsOf, quantizeTensor, reach, weightGrid } from "../dist/quantization/grid.js";

const types = ["int8", "uint8", "int16", "uint16", "int4", "uint4"] as const;
const tensors = fc
  .record({ a: fc.integer({ min: 1, max: 4 }), b: fc.integer({ min: 1, max: 5 }), c: fc.integer({ min: 1, max: 6 }) })
  .chain(({ a, b, c }) =>
    fc.record({
      dims: fc.constant([a, b, c] as const),
      values: fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: a * b * c, maxLength: a * b * c }),
      type: fc.constantFrom(...types),
      axis: fc.constantFrom(null, 0, 1, 2),
      block: fc.constantFrom(null, 1, 2, 3, 8),
    }),
  );

test("a constant on a grid of its own lies within half a step of itself, zero on zero", () => {
  fc.assert(
    fc.property(tensors, ({ dims, values, type, axis, block }) => {
      const array = Float32Array.from(values);
      const grid = weightGrid(array, dims, { type, axis, block: axis === null ? null : block });
      const q = quantizeTensor(array, dims, grid);
      const back = dequantizeTensor(q);
      const groups = groupsOf(dims, grid);
      assert.equal(grid.scale.length, groups.count);
      back.forEach((v, i) => {
        const step = grid.scale[groups.of(i)]!;
        // An asymmetric grid's zero point is a whole code: its ends may lie half a step inside the range.
        const slack = type.startsWith("u") ? 1.001 : 0.501;
        assert.ok(Math.abs(v - array[i]!) <= slack * step + 1e-6, `${array[i]} became ${v}, a step is ${step}`);
        if (array[i] === 0) assert.equal(Math.abs(v), 0);
        assert.ok(q.codes[i]! >= grid.range[0] && q.codes[i]! <= grid.range[1]);
      });
    }),
  );
});

test("groups: one, one per index, or one per block with a shorter last one", () => {
  const dims = [2, 5, 3];
  const all = (grid: Parameters<typeof groupsOf>[1]) => {
    const { count, of } = groupsOf(dims, grid);
    return [count, Array.from({ length: 30 }, (_, i) => of(i))] as const;
  };
  assert.deepEqual(all({ axis: null, block: null })[0], 1);
  const [channels, byChannel] = all({ axis: 1, block: null });
  assert.equal(channels, 5);
  assert.deepEqual(byChannel.slice(0, 9), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
  assert.deepEqual(byChannel.slice(15, 18), [0, 0, 0]);
  const [blocks, byBlock] = all({ axis: 1, block: 2 });
  assert.equal(blocks, 2 * 3 * 3);
  assert.deepEqual(byBlock.slice(0, 15), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(byBlock.slice(15, 18), [9, 10, 11]);
});

test("an activation grid spans its range and holds zero; a dead or broken range is no accident", () => {
  const [low, high] = reach(gridOf([-1, 3], "uint8"));
  assert.ok(Math.abs(low + 1) < 4 / 255 && Math.abs(high - 3) < 4 / 255);
  assert.deepEqual([...gridOf([0, 6], "uint8").zeroPoint], [0]);
  assert.deepEqual([...gridOf([2, 6], "uint8").zeroPoint], [0], "zero belongs to every grid");
  assert.deepEqual([...gridOf([0, 0], "uint8").scale], [1]);
  assert.throws(() => gridOf([0, Number.POSITIVE_INFINITY], "uint8"), PareError);
  assert.throws(() => gridOf([Number.NaN, 1], "uint8"), PareError);
  assert.throws(() => quantizeTensor(Float32Array.of(1, Number.NaN), [2], gridOf([0, 1], "uint8")), /NaN at element 1/);
  assert.throws(() => quantizeTensor(new Float32Array(6), [2, 3], { ...gridOf([0, 1], "uint8"), axis: 1 }), /3 groups/);
});

test("seven bits stay within 64 either way, and clipping by error beats the extremes where one value stands out", () => {
  const values = Float32Array.from({ length: 2000 }, (_, i) => Math.sin(i * 12.9898));
  const reduced = quantizeTensor(values, [2000], weightGrid(values, [2000], { reduced: true }));
  assert.ok(reduced.codes.every((c) => c >= -64 && c <= 64));
  values[7] = 3;
  const error = (clip: "min-max" | "mse") => {
    const grid = weightGrid(values, [2000], { type: "int4", clip });
    return dequantizeTensor(quantizeTensor(values, [2000], grid)).reduce((sum, v, i) => sum + (v - values[i]!) ** 2, 0);
  };
  assert.ok(error("mse") < 0.6 * error("min-max"), `${error("mse")} against ${error("min-max")}`);
});
