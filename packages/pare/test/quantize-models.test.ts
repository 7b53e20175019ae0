/** quantize on every model at hand: each becomes smaller, loads and runs, or is refused with a reason for every node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { PareError } from "../dist/graph/error.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { quantize } from "../dist/quantize.js";
import { arrayOf } from "./support/compare.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";
import { randomFeeds } from "./support/random-feeds.js";
import { needsShared, sharedData } from "./support/shared.js";

/** Why a model cannot be quantized. */
const refused: Readonly<Record<string, RegExp>> = {
  espcn_subpixel_quant: /nothing in the model can be quantized:\n.*Quant "Quant_4": Pare does not know the operator/,
  sklearn_randomforest: /nothing in the model can be quantized:\n.*TreeEnsembleClassifier/,
  model: /quantized already.*QLinearConv/,
};
/** Small ones of every kind, which are quantized with samples too. */
const withSamples = new Set([
  "espcn_subpixel_float",
  "mnist8_cntk",
  "dense_concat",
  "pixelshuffle",
  "lstm",
  "bilstm",
  "vit_fusedqkv_freehead",
]);

const all: readonly Model[] = [...sharedModels(() => true), ...packagedModels()];
const skip = sharedData ? false : needsShared;

function samplesFor(model: Model, graph: Graph): Samples {
  const runs = [1, 2, 3].map((seed) =>
    Object.fromEntries(Object.entries(randomFeeds(model, graph, seed)).map(([name, t]) => [name, arrayOf(t)])),
  );
  return { name: "random", length: runs.length, label: () => null, feeds: (i) => runs[i]!, batch: () => null };
}

async function holds(model: Model, samples: (graph: Graph) => Samples | null): Promise<void> {
  const graph = await read(model.path);
  const given = samples(graph);
  const done = quantize(graph, { engine: ortNode, ...(given ? { samples: given } : {}) });
  const reason = refused[model.name];
  if (reason) {
    await assert.rejects(done, (e) => e instanceof PareError && reason.test(e.message), model.name);
    return;
  }
  const { graph: small, facts } = await done;
  const [before, after] = facts.sizeBytes;
  assert.ok(after < before, `${model.name}: ${before} bytes became ${after}`);
  assert.ok(facts.quantized > 0 && facts.quantized <= facts.eligible, model.name);
  for (const l of facts.layers) assert.ok(l.reason, `${model.name}: ${l.op} "${l.name}" has no reason`);
  const feeds = samplesFor(model, graph).feeds(0);
  const session = await ortNode.load(small);
  try {
    const outputs = await session.run(feeds);
    assert.deepEqual(
      Object.keys(outputs),
      graph.outputs.map((v) => v.name),
      model.name,
    );
  } finally {
    await session.release();
  }
}

test("without data every model's weights shrink, or it is refused node by node", { skip }, async () => {
  for (const model of all) await holds(model, () => null);
});

test("with samples small models of every kind become integers that run", { skip }, async () => {
  for (const model of all.filter((m) => withSamples.has(m.name)))
    await holds(model, (graph) => samplesFor(model, graph));
});
