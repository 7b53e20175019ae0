/** Real models: read -> write -> read is the same graph, and onnxruntime cannot tell the files apart. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromBytes } from "../dist/graph/decode.js";
import { toBytes } from "../dist/graph/encode.js";
import { read, write } from "../dist/graph/file.js";
import type { Graph, Tensor } from "../dist/graph/graph.js";
import { dropDeadNodes } from "../dist/passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "../dist/passes/drop-initializer-inputs.js";
import { liftConstants } from "../dist/passes/lift-constants.js";
import { type Model, packagedModels, sharedModels } from "./support/models.js";
import { ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { randomFeeds } from "./support/random-feeds.js";
import { assertSame } from "./support/same.js";
import { needsShared } from "./support/shared.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-models-"));
});
after(() => rm(folder, { recursive: true }));

/** onnxruntime loads neither: they can be read and written, not run. */
const refusedByOrt: Readonly<Record<string, RegExp>> = {
  espcn_subpixel_quant: /onnx\.brevitas/,
  super_resolution: /Missing opset/,
};

const ortFeeds = (feeds: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, ortTensor(t)]));

async function same(model: Model): Promise<void> {
  const { path, name } = model;
  const graph = await read(path);
  const bytes = toBytes(graph);
  assertSame(fromBytes(bytes), graph, "read -> write -> read");
  const external = join(folder, `${name}.onnx`);
  await write(graph, external, { externalData: { thresholdBytes: 64 } });
  assertSame(await read(external), graph, "through external data");

  const refused = refusedByOrt[name];
  if (refused) {
    await assert.rejects(ortOutputs(path, {}), refused);
    return;
  }
  const feeds = ortFeeds(randomFeeds(model, graph));
  const expected = await ortOutputs(path, feeds);
  assert.ok(Object.keys(expected).length > 0);
  assertSame(await ortOutputs(bytes, feeds), expected, "written as one file");
  assertSame(await ortOutputs(external, feeds), expected, "written with external data");
  const plain = [liftConstants, dropInitializerInputs, dropDeadNodes].reduce<Graph>((g, pass) => pass(g), graph);
  // What is constant decides what onnxruntime fuses, so the passes are compared without its optimizations.
  assertSame(
    await ortOutputs(toBytes(plain), feeds, "disabled"),
    await ortOutputs(bytes, feeds, "disabled"),
    "constants lifted, inputs and nodes dropped",
  );
}

for (const model of packagedModels()) test(`${model.name}: the same before and after`, () => same(model));

const shared = sharedModels(() => true);
if (shared.length === 0) test("models of ../shared/data: the same before and after", (t) => t.skip(needsShared));
for (const model of shared) test(`${model.name}: the same before and after`, () => same(model));
