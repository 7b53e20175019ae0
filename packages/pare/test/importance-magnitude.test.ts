import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { keepHighest } from "../dist/importance/keep-highest.js";
import { lampScores, magnitudes, standardDeviation } from "../dist/importance/magnitude.js";

const weights = fc
  .array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 60 })
  .map((a) => Float32Array.from(a, (v) => v / 8));

test("LAMP is w^2 over the squares of all weights at least as large", () => {
  const scores = lampScores(Float32Array.of(1, -3, 2, 0));
  const expected = [1 / 14, 9 / 9, 4 / 13, 0];
  for (const [i, s] of scores.entries()) assert.ok(Math.abs(s - expected[i]!) < 1e-7, `${i}: ${s}`);
});

test("the largest weight of every layer scores 1, so that LAMP empties no layer", () => {
  fc.assert(
    fc.property(fc.array(weights, { minLength: 1, maxLength: 4 }), (layers) => {
      const masks = keepHighest(layers.map(lampScores), layers.length);
      layers.forEach((l, k) => {
        if (l.some((v) => v !== 0))
          assert.ok(
            masks[k]!.some((m) => m === 1),
            `layer ${k} of ${JSON.stringify(layers.map((x) => [...x]))}`,
          );
      });
    }),
  );
});

test("keepHighest keeps exactly so many, none below one that goes, never a zero", () => {
  fc.assert(
    fc.property(
      fc.array(weights, { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (layers, share) => {
        const total = layers.reduce((n, l) => n + l.length, 0);
        const keep = Math.round(total * share);
        const scores = layers.map(magnitudes);
        const masks = keepHighest(scores, keep);
        const [kept, gone] = [1, 0].map((bit) =>
          scores.flatMap((s, k) => [...s].filter((_, i) => masks[k]![i] === bit)),
        );
        const alive = scores.reduce((n, s) => n + s.filter((v) => v > 0).length, 0);
        assert.equal(kept!.length, Math.min(keep, alive));
        assert.ok(kept!.every((v) => v > 0));
        if (kept!.length && gone!.length) assert.ok(Math.min(...kept!) >= Math.max(...gone!));
      },
    ),
  );
});

test("standard deviation over what is left", () => {
  assert.equal(standardDeviation(Float32Array.of(0, 1, -1, 0)), 1);
  assert.equal(standardDeviation(new Float32Array(3)), 0);
});
