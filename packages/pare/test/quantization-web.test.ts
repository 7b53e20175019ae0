/** What is planned for onnxruntime-web runs there: every format of a small network in Chromium, and a refusal that says why. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { openChromium } from "../dist/engine/chromium.js";
import { read } from "../dist/graph/file.js";
import { applyPlan } from "../dist/quantization/apply-plan.js";
import type { Format } from "../dist/quantization/plan.js";
import { reducedRange } from "../dist/quantization/reduced-range.js";
import { verify } from "../dist/quantization/verify.js";
import { randomFeeds } from "./support/expose.js";
import { sharedModels } from "./support/models.js";
import { decibels, outputsOf, planOf, prepared } from "./support/planned.js";
import { needsShared, sharedData } from "./support/shared.js";

const chromium = process.env.CHROMIUM || "/usr/bin/chromium";
const skip = !existsSync(chromium)
  ? `needs Chromium at ${chromium} (set CHROMIUM to its path)`
  : !sharedData && needsShared;

test("formats for ort-web-wasm run in Chromium and give what Node gives", { skip, timeout: 120_000 }, async (t) => {
  const browser = await openChromium("wasm");
  try {
    assert.equal((await reducedRange(browser)).reduced, false, "WebAssembly multiplies without overflow");
    for (const model of sharedModels((m) => ["lstm", "vit_sepqkv_fixedhead"].includes(m.name))) {
      const graph = prepared(await read(model.path));
      const feeds = randomFeeds(graph, model.dims, 1);
      const wanted = await outputsOf(graph, feeds);
      for (const format of ["int8", "dynamic", "weights8", "weights4", "float16"] satisfies Format[]) {
        const plan = await planOf(graph, format, [feeds], { target: "ort-web-wasm" });
        const quantized = applyPlan(graph, plan, { target: "ort-web-wasm" });
        const session = await browser.load(quantized);
        const out = await session.run(feeds);
        await session.release();
        const got = Float64Array.from(out[graph.outputs[0]!.name]!.data as Float32Array);
        const db = decibels(wanted, got);
        t.diagnostic(`${model.name} ${format}: ${db.toFixed(1)} dB`);
        assert.ok(db > (format === "weights4" ? 12 : 25), `${model.name} ${format}: ${db} dB`);
      }
    }
  } finally {
    await browser.close();
  }
});

test("verification says what ran where, and what went wrong", { skip: sharedData ? false : needsShared }, async () => {
  const [model] = sharedModels((m) => m.name === "lstm");
  const graph = prepared(await read(model!.path));
  const feeds = randomFeeds(graph, {}, 1);
  const good = await verify(graph, "ort-node", [feeds, feeds]);
  assert.equal(good.runs, true);
  assert.equal(good.outputs.length, 2);
  const stranger = { ...graph, nodes: graph.nodes.map((n, i) => (i === 0 ? { ...n, op: "NoSuchOperator" } : n)) };
  const bad = await verify(stranger, "ort-node", [feeds]);
  assert.equal(bad.runs, false);
  assert.match(bad.note, /NoSuchOperator/);
  const before = process.env.CHROMIUM;
  process.env.CHROMIUM = "/nowhere/chromium";
  const untried = await verify(graph, "ort-web-wasm", [feeds]);
  if (before === undefined) delete process.env.CHROMIUM;
  else process.env.CHROMIUM = before;
  assert.equal(untried.runs, null);
  assert.match(untried.note, /needs Chromium at \/nowhere\/chromium/);
});
