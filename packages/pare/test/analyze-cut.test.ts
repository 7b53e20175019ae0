/**
 * Coupled channels on real models: a random half of every free group is cut out, and onnxruntime computes the same from the cut model as
 * from the one whose channels are only set to zero. The comparison itself is tried too: it must notice a cut that is one index off.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read } from "../dist/graph/file.js";
import { prove, summary } from "./support/cut-proof.js";
import { randomFeeds } from "./support/expose.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { fillZeros, singlePrecision, withLogits } from "./support/zeros.js";

/** onnxruntime has no kernel for one of their nodes, or their outputs are no tensors. */
const notRun = ["super_resolution", "sklearn_randomforest"];

let [groups, wrongCuts, unnoticed] = [0, 0, 0];
for (const model of [...sharedModels(), ...packagedModels()].filter((m) => !notRun.includes(m.name)))
  test(`cut equals zeroed: ${model.name}`, async (t) => {
    const graph = withLogits(fillZeros(singlePrecision(await read(model.path))));
    const feeds = randomFeeds(graph, model.dims);
    if (feeds.sr) (feeds.sr.data as BigInt64Array)[0] = 16000n;
    const proof = await prove(graph, feeds);
    t.diagnostic(summary(proof));
    groups += proof.free.length;
    wrongCuts += proof.noticed + proof.missed;
    unnoticed += proof.missed;
    assert.deepEqual(proof.wrong, []);
    // What normalization or a saturated output hides cannot be seen, but most must be.
    assert.ok(proof.missed <= proof.noticed, `${proof.missed} wrong cuts were not noticed`);
  });
test("the models had something to show", (t) => {
  if (!sharedData) return t.skip(needsShared);
  t.diagnostic(`${groups} free groups; ${wrongCuts - unnoticed} of ${wrongCuts} wrong cuts noticed`);
  assert.ok(groups > 250, `only ${groups} groups`);
  assert.ok(unnoticed <= wrongCuts / 10, `${unnoticed} of ${wrongCuts} wrong cuts were not noticed`);
});
