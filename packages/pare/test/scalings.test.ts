/**
 * Factors on real models: every unknown that `scalings` finds gets a random value, and onnxruntime computes the same as before; without one of the
 * constants that were rescaled it does not.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Scalings, scalings } from "../dist/analyze/scalings.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { liftConstants } from "../dist/passes/lift-constants.js";
import { rescale } from "../dist/passes/rescale.js";
import { randomFeeds, randomFrom } from "./support/expose.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, fillZeros, singlePrecision, withLogits } from "./support/zeros.js";

/** onnxruntime has no kernel for one of their nodes, or their outputs are no tensors; the last takes long and is like the first of its kind. */
const notRun = ["super_resolution", "sklearn_randomforest", "style_candy_winml"];

async function run(graph: Graph, feeds: Readonly<Record<string, NDArray>>): Promise<Record<string, NDArray>> {
  const session = await ortNode.load(graph, { threads: 2 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
/** The same scalings without those of the use that comes first. */
const without = (s: Scalings, k: number): Scalings => ({ ...s, uses: s.uses.filter((_, i) => i !== k) });

let [unknowns, noticed, missed] = [0, 0, 0];
for (const model of [...sharedModels(), ...packagedModels()].filter((m) => !notRun.includes(m.name)))
  test(`any factors keep the function: ${model.name}`, async (t) => {
    const graph = withLogits(fillZeros(singlePrecision(liftConstants(await read(model.path)))));
    const feeds = randomFeeds(graph, model.dims);
    if (feeds.sr) (feeds.sr.data as BigInt64Array)[0] = 16000n;
    const dims = Object.fromEntries(Object.entries(feeds).map(([name, a]) => [name, a.dims]));
    const found = scalings(graph, { inputs: dims });
    const random = randomFrom(5);
    const factors = Float64Array.from({ length: found.count + 1 }, (_, id) => (id === 0 ? 1 : 4 ** (2 * random() - 1)));
    const before = await run(graph, feeds);
    const error = far(before, await run(rescale(graph, found, factors), feeds));
    unknowns += found.count;
    t.diagnostic(`${found.count} unknowns in ${found.uses.length} constants, error ${error.toExponential(0)}`);
    assert.ok(error <= 1e-4, `error ${error}`);
    if (found.uses.length === 0) return;
    const k = Math.floor(random() * found.uses.length);
    if (far(before, await run(rescale(graph, without(found, k), factors), feeds)) > 10 * error) noticed++;
    else missed++;
  });
test("the models had something to scale", (t) => {
  if (!sharedData) return t.skip(needsShared);
  t.diagnostic(`${unknowns} unknowns; ${noticed} of ${noticed + missed} constants left out were noticed`);
  assert.ok(unknowns > 5000, `only ${unknowns} unknowns`);
  assert.ok(missed <= (noticed + missed) / 5, `${missed} constants left out changed nothing`);
});
