/** What the default path of quantize makes of channels of very unequal size, and of 4 bits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compare } from "../dist/compare.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { applyPlan } from "../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { uniformChoices } from "../dist/quantize/search.js";
import { quantize } from "../dist/quantize.js";
import { simplify } from "../dist/simplify.js";
import { photographSamples } from "./support/int8.js";
import { needsShared, sharedData } from "./support/shared.js";

const engine = ortNode;
const skip = sharedData ? false : needsShared;
const load = async (name: string) =>
  (await simplify(await read(`${sharedData}models/${name}.onnx`), { engine, opset: 21 })).graph;

/** Samples that were not quantized with. */
function halves(input: string, count: number): [Samples, Samples] {
  const all = photographSamples(input, 2 * count);
  const part = (start: number): Samples => ({ ...all, length: count, feeds: (i) => all.feeds(start + i) });
  return [part(0), part(count)];
}
const snrDb = async (float: Graph, found: Graph, samples: Samples): Promise<number> =>
  (await compare(float, found, samples, { engine, layers: false })).snrDb!;

/** Every third channel of a Conv that a Relu and a Conv follow is 64 times as large or as small, and the weights that read it the inverse. */
function unequal(graph: Graph): Graph {
  const d = draft(graph);
  const scale = (name: string, factor: (i: number) => number): void => {
    const t = d.initializers.get(name)!;
    d.initializers.set(
      name,
      floats(
        float32sOf(t).map((v, i) => v * factor(i)),
        t.dims,
      ),
    );
  };
  const factor = (c: number) => [64, 1, 1 / 64, 1, 1, 8][c % 6]!;
  const only = (value: string) => {
    const readers = graph.nodes.filter((n) => n.inputs.includes(value));
    return readers.length === 1 ? readers[0]! : null;
  };
  for (const first of graph.nodes) {
    const relu = first.op === "Conv" ? only(first.outputs[0]!) : null;
    const second = relu?.op === "Relu" ? only(relu.outputs[0]!) : null;
    if (second?.op !== "Conv") continue;
    const [channels, ...rest] = graph.initializers.get(first.inputs[1]!)!.dims;
    const per = rest.reduce((a, b) => a * b);
    const inner = graph.initializers
      .get(second.inputs[1]!)!
      .dims.slice(2)
      .reduce((a, b) => a * b);
    scale(first.inputs[1]!, (i) => factor(Math.floor(i / per)));
    scale(first.inputs[2]!, factor);
    scale(second.inputs[1]!, (i) => 1 / factor(Math.floor(i / inner) % channels!));
  }
  return d;
}

test("channels of very unequal size lose no more than equal ones", { skip }, async (t) => {
  const graph = unequal(await load("resnet20-cifar"));
  const [seen, unseen] = halves(graph.inputs[0]!.name, 48);
  const { graph: small, facts } = await quantize(graph, { samples: seen, format: "int8", engine });
  const db = await snrDb(graph, small, unseen);
  t.diagnostic(`${db.toFixed(1)} dB on other samples, ${facts.snrDb!.toFixed(1)} dB on those it was judged by`);
  assert.equal(facts.format, "int8");
  assert.ok(db > 28, `${db} dB`);
});

test("four bits by second moments are nearer than the nearest codes", { skip }, async (t) => {
  const graph = await load("cct_opset20_untrained");
  const [seen, unseen] = halves(graph.inputs[0]!.name, 24);
  const choices = uniformChoices(eligibleNodes(graph, "ort-node"), "weights4");
  const layers = new Map([...choices].map(([key, choice]) => [key, { ...choice, weights: new Map() }]));
  const nearest = applyPlan(graph, { layers, activations: new Map() }, { target: "ort-node" });
  const { graph: small } = await quantize(graph, { samples: seen, format: "int4", engine });
  const [before, after] = [await snrDb(graph, nearest, unseen), await snrDb(graph, small, unseen)];
  t.diagnostic(`nearest ${before.toFixed(1)} dB, by quantize ${after.toFixed(1)} dB`);
  assert.ok(after > before + 1, `${before} dB, ${after} dB`);
});
