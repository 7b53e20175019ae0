/**
 * Coupled channels on real models: a random half of every free group is cut out, and onnxruntime computes the same from the cut model as
 * from the one whose channels are only set to zero. The comparison itself is tried too: it must notice a cut that is one index off.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel } from "../dist/analyze/axes.js";
import { type Coupling, couple } from "../dist/analyze/couple.js";
import { cut, masked } from "../dist/analyze/cut.js";
import { groupsOf } from "../dist/analyze/groups.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { randomFeeds, randomFrom } from "./support/expose.js";
import { type Model, sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, fillZeros, randomHalf, singlePrecision } from "./support/zeros.js";

/** onnxruntime has no kernel for one of their nodes, or their outputs are no tensors. */
const notRun = ["super_resolution", "sklearn_randomforest"];

async function run(
  graph: Graph,
  feeds: Record<string, NDArray>,
  optimize: "all" | "none" = "all",
): Promise<Record<string, NDArray>> {
  const session = await ortNode.load(graph, { threads: 2, optimize });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
/** How far the cut model is from the zeroed one, and how much zeroing changed at all. */
async function compare(
  c: Coupling,
  removed: ReadonlySet<Channel>,
  feeds: Record<string, NDArray>,
  dense: Record<string, NDArray>,
) {
  const twin = await run(masked(c, removed), feeds);
  return { twin, error: far(twin, await run(cut(c, removed), feeds)), effect: far(dense, twin) };
}
/** The coupling with one axis of one constant's indices shifted by one: a wrong map. */
function shifted(c: Coupling, tensor: string, node: string, axis: number): Coupling {
  const uses = c.uses.map((u) => {
    if (u.tensor !== tensor || (u.node.name || u.node.outputs.find(Boolean)) !== node) return u;
    return { ...u, axes: u.axes.map((a, d) => (d === axis ? [...a.slice(1), a[0]!] : a)) };
  });
  return { ...c, uses };
}
const brief = (n: number): string => (n === 0 ? "0" : n.toExponential(0));

async function prove(model: Model, say: (text: string) => void): Promise<void> {
  const graph = fillZeros(singlePrecision(await read(model.path)));
  const feeds = randomFeeds(graph, model.dims);
  const inputs = Object.fromEntries(Object.entries(feeds).map(([name, a]) => [name, a.dims]));
  const started = performance.now();
  const dense = await run(graph, feeds);
  const slow = performance.now() - started > 1000;
  // Deep normalised nets amplify rounding: onnxruntime is then this far from itself with its optimizations off.
  const rounding = far(dense, await run(graph, feeds, "none"));
  const close = Math.max(1e-5, rounding);
  const c = couple(graph, { inputs });
  const all = groupsOf(c);
  const free = all.filter((g) => !g.blocked);
  const random = randomFrom(3);
  const wrong: string[] = [];
  let [worst, noticed, missed] = [0, 0, 0];
  const everything: Channel[] = [];
  for (const [k, g] of free.entries()) {
    const gone = randomHalf(g.channels, random);
    everything.push(...gone);
    // Seconds a run: a few of its groups one by one, and all of them at once below.
    if (slow && k % 5 !== 0) continue;
    const removed = new Set(gone);
    const { twin, error, effect } = await compare(c, removed, feeds, dense);
    worst = Math.max(worst, error);
    if (!(error <= close && error <= Math.max(effect / 5, 1e-12)))
      wrong.push(`${g.name}: error ${error}, zeroing changed ${effect}`);
    // Once per group: one constant cut one index off.
    const member = g.members[Math.floor(random() * g.members.length)]!;
    const bad = cut(shifted(c, member.tensor, member.node, member.axis), removed);
    if (far(twin, await run(bad, feeds)) > Math.max(close, error)) noticed++;
    else missed++;
  }
  const whole = await compare(c, new Set(everything), feeds, dense);
  const held = new Map<string, number>();
  for (const g of all) if (g.blocked) held.set(g.blocked.by, (held.get(g.blocked.by) ?? 0) + 1);
  say(
    `${free.length} free groups (${free.reduce((n, g) => n + g.size, 0)} channels)${slow ? ", every fifth tried" : ""}, worst error ${brief(worst)}; all at once ${brief(whole.error)}, ` +
      `effect ${brief(whole.effect)}; onnxruntime's own rounding ${brief(rounding)}; mutations noticed ${noticed}, not ${missed}; held: ${[...held].map(([by, n]) => `${n} by ${by}`).join(", ")}`,
  );
  assert.deepEqual(wrong, []);
  assert.ok(whole.error <= close, `all groups at once: ${whole.error}`);
  assert.ok(missed <= noticed, `${missed} wrong cuts were not noticed`);
}

for (const model of sharedModels().filter((m) => !notRun.includes(m.name)))
  test(`cut equals zeroed: ${model.name}`, async (t) => {
    await prove(model, (text) => t.diagnostic(text));
  });
test("the models are there", (t) => {
  if (!sharedData) return t.skip(needsShared);
  assert.ok(sharedModels().length > 30);
});
