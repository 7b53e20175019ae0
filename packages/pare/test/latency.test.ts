/** Timing of what is slow: rounds end in time, fewer choices are timed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couple } from "../dist/analyze/couple.js";
import { infer } from "../dist/analyze/infer.js";
import type { Engine } from "../dist/engine/engine.js";
import { latency } from "../dist/engine/latency.js";
import { linearLayers } from "../dist/linear/layers.js";
import { problemOf } from "../dist/linear/problem.js";
import { network } from "../dist/methods/architecture/networks.js";
import { factorizers } from "../dist/methods/low-rank-auto.js";
import { choicesFor, rankGrid } from "../dist/methods/rank-choices.js";
import type { StageTimes } from "../dist/methods/stage-times.js";

const net = network("lenet-300-100", { seed: 1 });

test("no round begins after the time is over, and every graph runs twice at least", async () => {
  let runs = 0;
  const engine = {
    load: async () => ({
      run: async () => {
        runs++;
        await new Promise((done) => setTimeout(done, 5));
        return {};
      },
      release: async () => {},
    }),
  } as unknown as Engine;
  for (const [withinMs, least, most] of [
    [0, 2, 2],
    [60, 3, 13],
  ] as const) {
    runs = 0;
    const [found] = await latency(engine, [net], { runs: 1000, withinMs });
    assert.ok(runs >= least && runs <= most, `${runs} runs in ${withinMs} ms`);
    assert.ok(found!.minMs > 0);
  }
  runs = 0;
  await latency(engine, [net, net], { runs: 4 });
  assert.equal(runs, 2 * (3 + 4));
});

test("of a slow layer only choices that none beats in multiply-accumulates and loss are timed", async () => {
  const layer = linearLayers(net, infer(net, { inputs: couple(net).inputs })).layers[0]!;
  const timed = async (ms: number) => {
    let count = 0;
    const times = {
      of: async (_: unknown, stages: unknown) => {
        count++;
        return stages ? ms / 2 : ms;
      },
    } as unknown as StageTimes;
    const chosen = factorizers.filter((f) => f.refuses(layer) === null);
    const { choices } = await choicesFor(problemOf(layer, null, 0), times, chosen, rankGrid);
    assert.equal(choices.length, count - 1);
    return choices;
  };
  const [all, few] = [await timed(0.1), await timed(1000)];
  assert.equal(few.length, 8);
  for (const c of few)
    assert.ok(!all.some((o) => o.macs < c.macs && o.loss < c.loss), `rank ${c.ranks} is beaten by another`);
  const macs = all.map((c) => c.macs);
  assert.deepEqual(
    [few[0]!.macs, few.at(-1)!.macs],
    [Math.min(...macs), Math.max(...macs)],
    "from the least to the most",
  );
});
