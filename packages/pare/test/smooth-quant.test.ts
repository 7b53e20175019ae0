/** SmoothQuant on real models: the function stays, and channels that would take all of a range are evened out by what calibration saw. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scalings } from "../dist/analyze/scalings.js";
import { calibrate } from "../dist/calibrate/calibrate.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import type { Graph } from "../dist/graph/graph.js";
import { smooth, smoothNeeds } from "../dist/methods/quantize/smooth-quant.js";
import { rescale } from "../dist/passes/rescale.js";
import { simplify } from "../dist/simplify.js";
import { randomFrom } from "./support/expose.js";
import { outputsSnrDb, photographSamples, quantizer } from "./support/int8.js";
import { needsShared, sharedData } from "./support/shared.js";

const model = async (name: string): Promise<Graph> =>
  (await simplify(await read(`${sharedData}models/${name}.onnx`), { engine: ortNode, opset: 21 })).graph;
const smoothed = async (graph: Graph, samples: Samples) =>
  smooth(graph, await calibrate(graph, smoothNeeds(graph), samples, { engine: ortNode }), { weightBits: 7 });

for (const [name, rate] of [
  ["resnet20-cifar", 64],
  ["cct_opset20_untrained", 16],
] as const)
  test(`factors of up to ${rate} on a third of the channels are taken back: ${name}`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const graph = await model(name);
    const samples = photographSamples(graph.inputs[0]!.name, 12);
    const found = scalings(graph);
    const random = randomFrom(2);
    const factors = Float64Array.from({ length: found.count + 1 }, () =>
      random() < 1 / 3 ? rate ** (2 * random() - 1) : 1,
    );
    const uneven = rescale(graph, found, factors);
    const before = [...uneven.initializers.values()];
    const even = await smoothed(uneven, samples);
    assert.deepEqual([...uneven.initializers.values()], before, "the graph that came in is as it was");
    const same = await outputsSnrDb(graph, even.graph, samples);
    assert.ok(same > 80, `the function changed: ${same} dB`);
    const db = async (g: Graph) => outputsSnrDb(graph, (await quantizer(g, samples, "weights")).quantize(g), samples);
    const [plain, bad, after] = [await db(graph), await db(uneven), await db(even.graph)];
    t.diagnostic(
      `${even.chosen.length} families; ${plain.toFixed(1)} dB, uneven ${bad.toFixed(1)} dB, smoothed ${after.toFixed(1)} dB`,
    );
    assert.ok(even.chosen.length > 0);
    assert.ok(bad < plain - 2, "the factors hurt");
    assert.ok(after > plain - 3, "smoothing takes them back");
    assert.deepEqual((await smoothed(uneven, samples)).chosen, even.chosen);
  });
