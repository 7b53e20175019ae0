/** What a killed run goes on from: stopped prunings and factorizations called again, and what was settled once. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { type FactorizeOptions, factorize } from "../dist/factorize.js";
import { toBytes } from "../dist/graph/encode.js";
import type { Graph } from "../dist/graph/graph.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { type AloneOptions, toolsAlone } from "../dist/methods/tools.js";
import { type PruneOptions, prune } from "../dist/prune.js";
import { blobs } from "./support/blobs.js";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pare-unfinished-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const dims = [1, 12, 12] as const;
const [data, validation] = [blobs(96, dims, 1), blobs(32, dims, 2)];
const b = new NetworkBuilder("small", 3);
const first = b.maxPool(b.relu(b.conv(b.input("x", dims), "conv1", 16, 3), "relu1"), "pool", 2);
const net = b.finish(b.dense(b.flatten(b.relu(b.conv(first, "conv2", 32, 3), "relu2")), "fc", 4), "y");
const train = { epochs: 2, batchSize: 32 };

type Work = (o: AloneOptions) => Promise<{ readonly graph: Graph }>;
const pruning = (o: Pick<PruneOptions, "method" | "options">): Work => {
  return (shared) => prune(net, { ...o, ...shared, data, validation });
};
const factorizing = (options: FactorizeOptions["options"]): Work => {
  return (shared) => factorize(net, { options: options!, ...shared, data, validation });
};
const works: Readonly<Record<string, Work>> = {
  "structured, two steps": pruning({
    method: "structured",
    options: { target: { macs: 0.4 }, roundTo: 4, samples: 32, steps: 2, train },
  }),
  magnitude: pruning({ method: "magnitude", options: { sparsity: 0.5, steps: 2, train } }),
  "group-lasso": pruning({ method: "group-lasso", options: { strength: 0.05, train, finetune: train } }),
  "low rank": factorizing({ ranks: { conv2: [8, 8] }, measure: false, samples: 32, train }),
};
for (const [name, work] of Object.entries(works))
  test(`${name}: stopped in any epoch and called again, the same bytes`, async () => {
    let epochs = 0;
    const { graph: whole } = await work({ onEpoch: () => void epochs++ });
    assert.ok(epochs >= 2, `${epochs} epochs`);
    for (let stopAt = 1; stopAt < epochs; stopAt++) {
      const unfinished = join(folder, `${name}-${stopAt}`);
      const stop = new AbortController();
      let [seen, again] = [0, 0];
      const stopped = work({
        unfinished,
        signal: stop.signal,
        onEpoch: () => void (++seen === stopAt && stop.abort()),
      });
      await assert.rejects(stopped, { name: "AbortError" });
      const { graph } = await work({ unfinished, onEpoch: () => void again++ });
      assert.deepEqual(toBytes(graph), toBytes(whole), `stopped after epoch ${stopAt}`);
      // A training saves its state when it is stopped, and else now and then: the one before may be done again.
      assert.ok(again < epochs || stopAt > 1, `all ${again} epochs again`);
    }
  });

test("what was settled is settled: measured once, and anew for other settings, seeds, graphs and data", async () => {
  const unfinished = join(folder, "settled");
  let calls = 0;
  const settle = async (graph: Graph, o: AloneOptions, settings: unknown) => {
    const tools = await toolsAlone(graph, ortNode, { unfinished, ...o }, settings);
    return tools.settled(async () => ({ graph, shares: new Map([["latency", ++calls]]) }));
  };
  const now = await settle(net, {}, ["a"]);
  assert.deepEqual(await settle(net, {}, ["a"]), now);
  assert.equal(now.shares.get("latency"), 1);
  await settle(net, {}, ["b"]);
  await settle(net, { seed: 1 }, ["b"]);
  await settle({ ...net, nodes: net.nodes.slice(0, -1) }, { seed: 1 }, ["b"]);
  await settle(net, { seed: 1, data }, ["b"]);
  assert.equal(calls, 5);
});
