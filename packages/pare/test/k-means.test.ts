import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Initialisation, kMeans, nearest } from "../dist/methods/k-means.js";

const values = fc
  .array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 80 })
  .map((a) => Float32Array.from(a, (v) => v / 64));
const inits: readonly Initialisation[] = ["linear", "density", "random"];

test("every value goes to its nearest centroid, every centroid is the weighted mean of its values", () => {
  fc.assert(
    fc.property(
      values,
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(...inits),
      fc.boolean(),
      (v, k, init, weighted) => {
        const weights = Float32Array.from(v, (_, i) => (weighted ? 1 + (i % 7) : 1));
        const { centroids, indices } = kMeans(v, k, { init, weights, seed: 3 });
        assert.ok(centroids.length >= 1 && centroids.length <= k);
        for (let j = 1; j < centroids.length; j++) assert.ok(centroids[j]! > centroids[j - 1]!);
        v.forEach((x, i) => {
          const chosen = Math.abs(x - centroids[indices[i]!]!);
          for (const c of centroids) assert.ok(chosen <= Math.abs(x - c) + 1e-4);
        });
        centroids.forEach((c, j) => {
          let [mass, moment] = [0, 0];
          v.forEach((x, i) => {
            if (indices[i] === j) [mass, moment] = [mass + weights[i]!, moment + weights[i]! * x];
          });
          if (mass > 0) assert.ok(Math.abs(c - moment / mass) < 1e-3, `${c} against ${moment / mass}`);
        });
      },
    ),
  );
});

test("values that are few enough are their own centroids", () => {
  const v = Float32Array.of(0.1, -2, 0.1, 7);
  const { centroids, indices } = kMeans(v, 3);
  assert.deepEqual(
    [...indices].map((k) => centroids[k]),
    [...v],
  );
});

test("linear initialisation finds the three groups of a line", () => {
  const v = Float32Array.from({ length: 300 }, (_, i) => [-1, 0.2, 3][i % 3]! + (((i * 37) % 11) - 5) / 100);
  const { centroids } = kMeans(v, 3);
  assert.equal(centroids.length, 3);
  for (const [j, c] of [-1, 0.2, 3].entries()) assert.ok(Math.abs(centroids[j]! - c) < 0.01);
});

test("nearest against a linear search", () => {
  fc.assert(
    fc.property(values, fc.double({ min: -20, max: 20, noNaN: true }), (v, x) => {
      const centroids = [...new Set(v)].sort((a, b) => a - b);
      const best = Math.min(...centroids.map((c) => Math.abs(c - x)));
      assert.ok(Math.abs(Math.abs(centroids[nearest(centroids, x)]! - x) - best) < 1e-9);
    }),
  );
});
