/** Real models: pack and unpack are exact inverses, and onnxruntime cannot tell what comes out from what went in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBytes } from "../dist/graph/decode.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { pack, unpack } from "../dist/pack/pack.js";
import { canonical } from "./support/canonical.js";
import { handMadeModels } from "./support/hand-made.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";
import { ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { randomFeeds } from "./support/random-feeds.js";
import { assertSame } from "./support/same.js";
import { needsShared } from "./support/shared.js";

/** onnxruntime loads none of these: they can be packed, not run. */
const refusedByOrt = ["espcn_subpixel_quant", "super_resolution"];

function assertInverse(graph: Graph): { bytes: Uint8Array; back: Graph } {
  const bytes = pack(graph);
  const back = unpack(bytes);
  assertSame(canonical(back), canonical(graph), "unpacked");
  assertSame(pack(back), bytes, "packed again");
  // The weights of large models were packed twice already.
  if (bytes.length < 2 ** 20) {
    const named = unpack(pack(graph, { keepNames: true }));
    // Messages kept in `extra` lose their prototype, not their contents.
    assertSame(structuredClone(named), structuredClone(graph), "with names");
  }
  return { bytes, back };
}

async function same(model: Model, note: (text: string) => void): Promise<void> {
  const graph = await read(model.path);
  const { bytes, back } = assertInverse(graph);
  note(`${toBytes(graph).length} -> ${bytes.length} bytes`);
  if (refusedByOrt.includes(model.name)) return;
  const feeds = Object.fromEntries(Object.entries(randomFeeds(model, graph)).map(([name, t]) => [name, ortTensor(t)]));
  const expected = await ortOutputs(toBytes(graph), feeds);
  assert.ok(Object.keys(expected).length > 0);
  assertSame(await ortOutputs(toBytes(back), feeds), expected, "outputs");
}

for (const [name, bytes] of Object.entries(handMadeModels()))
  test(`pack and unpack the hand-made model "${name}"`, () => void assertInverse(fromBytes(bytes)));

for (const model of packagedModels())
  test(`pack and unpack ${model.name}`, (t) => same(model, (text) => t.diagnostic(text)));

const shared = sharedModels(() => true);
for (const model of shared) test(`pack and unpack ${model.name}`, (t) => same(model, (text) => t.diagnostic(text)));
if (shared.length === 0) test("pack and unpack real models", { skip: needsShared }, () => {});
