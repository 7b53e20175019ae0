/** Cross-layer equalisation on real models: the function stays, and factors that would ruin an 8-bit network are found and taken back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scalings } from "../dist/analyze/scalings.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { equalize } from "../dist/methods/quantize/equalize.js";
import { rescale } from "../dist/passes/rescale.js";
import { dequantizeTensor, quantizeTensor, weightGrid } from "../dist/quantization/grid.js";
import { randomFeeds, randomFrom } from "./support/expose.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, singlePrecision } from "./support/zeros.js";

type Arrays = Record<string, NDArray>;
async function run(graph: Graph, feeds: Readonly<Arrays>): Promise<Arrays> {
  const session = await ortNode.load(graph, { threads: 2 });
  try {
    return await session.run(feeds);
  } finally {
    await session.release();
  }
}
const model = async (name: string) => singlePrecision(await read(`${sharedData}models/${name}.onnx`));

const named = ["resnet20-cifar", "squeezenet_fp16", "ultraface_rfb_320", "fastestdet", "super_resolution_ort"];
for (const name of named)
  test(`equalised, the function is the same: ${name}`, async (t) => {
    if (!sharedData) return t.skip(needsShared);
    const graph = await model(name);
    const feeds = randomFeeds(graph, name.startsWith("super") ? { input: [1, 1, 224, 224] } : {});
    const dims = Object.fromEntries(Object.entries(feeds).map(([n, a]) => [n, a.dims]));
    const before = [...graph.initializers.values()];
    const even = equalize(graph, { inputs: dims });
    assert.deepEqual([...graph.initializers.values()], before, "the graph that came in is as it was");
    const changed = [...even.initializers].filter(([n, x]) => graph.initializers.get(n) !== x).length;
    const error = far(await run(graph, feeds), await run(even, feeds));
    t.diagnostic(`${changed} constants changed, error ${error.toExponential(1)}`);
    assert.ok(changed >= 5);
    assert.ok(error <= 1e-4, `error ${error}`);
    assert.deepEqual(
      [...equalize(graph, { inputs: dims }).initializers.values()].map((x) => x.bytes),
      [...even.initializers.values()].map((x) => x.bytes),
    );
  });

/** Every weight of a convolution rounded to 8 bits with a scale per output channel. */
function rounded(graph: Graph): Graph {
  const d = draft(graph);
  for (const n of graph.nodes) {
    const w = n.op === "Conv" ? graph.initializers.get(n.inputs[1]!) : undefined;
    if (!w) continue;
    const codes = quantizeTensor(float32sOf(w), w.dims, weightGrid(float32sOf(w), w.dims, { axis: 0 }));
    d.initializers.set(n.inputs[1]!, floats(dequantizeTensor(codes), w.dims));
  }
  return d;
}
function snrDb(wanted: Readonly<Arrays>, found: Readonly<Arrays>): number {
  const [name] = Object.keys(wanted);
  const [x, y] = [wanted[name!]!.data as Float32Array, found[name!]!.data as Float32Array];
  let [signal, noise] = [0, 0];
  x.forEach((v, i) => {
    signal += v * v;
    noise += (v - y[i]!) ** 2;
  });
  return 10 * Math.log10(signal / noise);
}

test("ResNet-20 with a third of its channels scaled by up to 64 is good again once it is equalised", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const graph = await model("resnet20-cifar");
  const found = scalings(graph);
  const random = randomFrom(11);
  const factors = Float64Array.from({ length: found.count + 1 }, () =>
    random() < 1 / 3 ? 64 ** (2 * random() - 1) : 1,
  );
  const bad = rescale(graph, found, factors);
  const feeds = randomFeeds(graph, {}, 4);
  const float = await run(graph, feeds);
  const after = async (g: Graph) => snrDb(float, await run(rounded(g), feeds));
  const [plain, scaled, even] = [await after(graph), await after(bad), await after(equalize(bad))];
  t.diagnostic(`${plain.toFixed(1)} dB, scaled ${scaled.toFixed(1)} dB, equalised ${even.toFixed(1)} dB`);
  assert.ok(scaled < plain - 10, "the factors hurt");
  // Rounding weights alone is easier on the original, whose activations are uneven instead.
  assert.ok(even > 30, "equalisation takes them back");
});
