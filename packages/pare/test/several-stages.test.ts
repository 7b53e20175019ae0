/** Channels, ranks, single weights and shared values in one run of `compress`: every stage narrows what the one before left, and what stopped goes on to the same bytes. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { compress } from "../dist/compress.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import type { RecipeInput } from "../dist/methods/recipe.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";

const dims = [1, 12, 12] as const;
const data = { train: blobs(128, dims, 1), validation: blobs(64, dims, 2), test: blobs(64, dims, 3) };
const training = { epochs: 1, batchSize: 32 };
const recipe: RecipeInput = {
  name: "several",
  stages: [
    { method: "prune/structured", options: { target: { macs: 0.6 }, roundTo: 4, samples: 32, train: training } },
    { method: "lowrank/tucker2", options: { ranks: { conv2: [8, 8] }, measure: false, samples: 32, train: training } },
    { method: "lowrank/spatial", options: { ranks: { conv1: 2 }, measure: false, samples: 32, train: training } },
    { method: "prune/magnitude", options: { sparsity: 0.5, steps: 1, train: training } },
    { method: "quantize/cluster", options: { samples: 32, train: training } },
  ],
};

test("several stages in one run", async () => {
  const b = new NetworkBuilder("small", 3);
  const first = b.maxPool(b.relu(b.conv(b.input("x", dims), "conv1", 16, 3), "relu1"), "pool", 2);
  const second = b.relu(b.conv(first, "conv2", 32, 3), "relu2");
  const net = b.finish(b.dense(b.relu(b.dense(b.flatten(second), "fc1", 32), "relu3"), "fc2", 4), "y");
  const { graph } = await train(net, { data: data.train, epochs: 6, batchSize: 32, learningRate: 0.02, seed: 1 });
  const folder = await mkdtemp(join(tmpdir(), "pare-stages-"));
  try {
    const [whole, stopped] = [join(folder, "whole"), join(folder, "stopped")];
    const { facts } = await compress(graph, { data, out: whole, recipe, seed: 1 });
    assert.deepEqual(
      facts.stages.map((s) => s.stage),
      ["dense", ...recipe.stages.map((s) => s.method), "packed"],
    );
    const nonzero = facts.stages.map((s) => s.nonzero);
    for (const i of [1, 2, 3, 4]) assert.ok(nonzero[i]! < nonzero[i - 1]!, `${nonzero}`);
    const { widths } = facts;
    assert.deepEqual(
      widths.map((w) => w.before),
      [16, 32, 32, 4],
    );
    assert.ok(widths.some((w) => w.after < w.before) && widths.every((w) => w.after > 0));
    assert.match(await readFile(facts.report, "utf8"), /of 4 layers are narrower/);
    assert.ok(facts.stages.at(-1)!.error < 0.2, `error ${facts.stages.at(-1)!.error}`);
    // Stopped in the middle of a training, and started again by the same command.
    const abort = new AbortController();
    const run = compress(graph, {
      ...{ data, out: stopped, recipe, seed: 1, signal: abort.signal },
      onProgress: ({ stage }) => void (stage === "lowrank/tucker2" && abort.abort()),
    });
    await assert.rejects(run, { name: "AbortError" });
    await compress(graph, { data, out: stopped, recipe, seed: 1 });
    for (const file of ["model.pare", "model.onnx"])
      assert.deepEqual(await readFile(join(stopped, file)), await readFile(join(whole, file)), file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
