/**
 * `npm run test:coupling-models -- [part of a name]`: on every real model, a random part of every free group, each alone and all at once,
 * cut and zeroed, on random and on real inputs, in onnxruntime.
 */
import { couple } from "../../dist/analyze/couple.js";
import { cut, masked } from "../../dist/analyze/cut.js";
import { groupsOf } from "../../dist/analyze/groups.js";
import type { NDArray } from "../../dist/engine/engine.js";
import { ortNode } from "../../dist/engine/ort-node.js";
import { read } from "../../dist/graph/file.js";
import type { Graph } from "../../dist/graph/graph.js";
import { some } from "../support/coupling-property.js";
import { randomFeeds, randomFrom } from "../support/expose.js";
import { packagedModels, sharedModels } from "../support/models.js";
import { realFeeds } from "../support/real-feeds.js";
import { fillZeros, furthest, singlePrecision, withLogits } from "../support/zeros.js";

type Feeds = Readonly<Record<string, NDArray>>;
async function run(graph: Graph, all: readonly Feeds[], optimize: "all" | "none" = "all"): Promise<Feeds[]> {
  const session = await ortNode.load(graph, { threads: 1, optimize });
  try {
    const out: Feeds[] = [];
    for (const feeds of all) out.push(await session.run(feeds));
    return out;
  } finally {
    await session.release();
  }
}

const [, , part = ""] = process.argv;
/** onnxruntime has no kernel for one of their nodes, or their outputs are no tensors. */
const notRun = ["super_resolution", "sklearn_randomforest"];
const models = [...sharedModels(), ...packagedModels()].filter(
  (m) => !notRun.includes(m.name) && m.name.includes(part),
);
let [tried, wrong] = [0, 0];
for (const model of models) {
  const graph = withLogits(fillZeros(singlePrecision(await read(model.path))));
  const feeds = [randomFeeds(graph, model.dims), realFeeds(graph, model.dims)];
  for (const f of feeds) if (f.sr) (f.sr.data as BigInt64Array)[0] = 16000n;
  const inputs = Object.fromEntries(Object.entries(feeds[0]!).map(([name, a]) => [name, a.dims]));
  const dense = await run(graph, feeds);
  // How far onnxruntime is from itself: no cut can be closer than that.
  const close = Math.max(1e-5, furthest(dense, await run(graph, feeds, "none")));
  const c = couple(graph, { inputs });
  const groups = groupsOf(c);
  const free = groups.filter((g) => !g.blocked);
  const random = randomFrom(9);
  const parts = free.map((g) => some(g.channels, random));
  const tries = parts.length > 1 ? [...parts, parts.flat()] : parts;
  let [worst, silent] = [0, 0];
  for (const [i, gone] of tries.entries()) {
    const removed = new Set(gone);
    const twin = await run(masked(c, removed), feeds);
    const error = furthest(twin, await run(cut(c, removed), feeds));
    tried++;
    worst = Math.max(worst, error);
    if (furthest(dense, twin) < 1e-6) silent++;
    if (error <= close) continue;
    console.log(`  ${free[i]?.name ?? "all groups at once"}: off by ${error.toExponential(1)}`);
    wrong++;
  }
  console.log(
    `${model.name}: ${free.length} free groups of ${groups.length}, worst ${worst.toExponential(1)} of ${close.toExponential(1)}` +
      `${silent ? `, ${silent} changed nothing` : ""}`,
  );
  for (const { at, why } of c.leftAlone) console.log(`  in no group: ${at}: ${why.slice(0, 160)}`);
}
console.log(`${models.length} models, ${tried} cuts, ${wrong} wrong`);
if (wrong > 0 || models.length === 0) process.exitCode = 1;
