/** Coupled channels on random graphs, a few dozen of the thousands that `npm run test:coupling` tries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutEqualsZeroed, nothingSeen } from "./support/coupling-property.js";
import { kinds, plans, randomNet } from "./support/random-net.js";

test("random graphs: what is cut computes what is zeroed", async (t) => {
  const seen = nothingSeen();
  await fc.assert(
    fc.asyncProperty(plans(8), (plan) => cutEqualsZeroed(randomNet(plan), seen, 1e-5, plan.seed)),
    { numRuns: 24, seed: 5 },
  );
  t.diagnostic(`${seen.free} free groups in ${seen.graphs} graphs, largest difference ${seen.worst.toExponential(1)}`);
  assert.ok(seen.withFree > seen.graphs / 2, `only ${seen.withFree} graphs have free groups`);
  assert.ok(seen.changed > 0.9 * seen.compared, `zeroing changed the outputs in ${seen.changed} of ${seen.compared}`);
});

test("every kind of block alone makes a graph that onnxruntime runs, and is cut right", async () => {
  const seen = nothingSeen();
  const start = { kind: "conv", pick: 0, size: 6, how: 1 } as const;
  for (const [i, kind] of kinds.entries())
    await cutEqualsZeroed(
      randomNet({ seed: 7, open: i % 2 > 0, heads: [1], steps: [start, { kind, pick: 3, size: 5, how: i }] }),
      seen,
    );
  assert.ok(seen.free > kinds.length / 2, `${seen.free} free groups`);
});
