/** Dropout in training mode: the gradient lets through what the forward pass of the same run let through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { differentiate } from "../dist/autodiff/differentiate.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import { type Draft, emptyGraph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { randomSource } from "./support/gradient-check.js";

const dims = [40, 25];
const random = randomSource(3);
const values = Float32Array.from({ length: 1000 }, random);
const weights = Float32Array.from({ length: 1000 }, random);

/** loss = sum of weights Dropout(x). `mode`: true, or fed. */
function lossGraph(ratio: number, outputs: readonly string[], mode: "constant" | "fed"): Draft {
  const graph = emptyGraph("dropout", 21);
  graph.inputs.push({ name: "x", type: "float32", shape: dims });
  if (mode === "fed") graph.inputs.push({ name: "mode", type: "bool", shape: [] });
  else graph.initializers.set("mode", { type: "bool", dims: [], bytes: Uint8Array.of(1) });
  const g = new Emitter(graph);
  graph.nodes.push(node("Dropout", ["x", g.scalar(ratio), "mode"], outputs, { seed: 5 }));
  const product = g.op("Mul", [outputs[0]!, g.constant(floats(weights, dims))]);
  graph.nodes.push(node("ReduceSum", [product], ["loss"], { keepdims: 0 }));
  graph.outputs.push({ name: "loss", type: "float32", shape: [] });
  return graph;
}

async function run(graph: Draft, training: boolean | null) {
  const { graph: whole, gradients } = differentiate(graph, "loss", ["x"]);
  const session = await ortNode.load(whole);
  const feeds = { x: { type: "float32" as const, dims, data: values } };
  const mode = { mode: { type: "bool" as const, dims: [], data: Uint8Array.of(training ? 1 : 0) } };
  const out = await session.run(training === null ? feeds : { ...feeds, ...mode });
  await session.release();
  return { loss: Number(out.loss!.data[0]), gradient: Array.from(out[gradients.get("x")!]!.data as Float32Array) };
}

for (const [mode, training] of [
  ["constant", null],
  ["fed", true],
] as const)
  test(`training mode ${mode}: 0 or 1 / (1 - ratio), as in the same forward pass`, async () => {
    const { loss, gradient } = await run(lossGraph(0.4, ["y", "mask"], mode), training);
    let through = 0;
    gradient.forEach((d, i) => {
      if (d === 0) return;
      through++;
      assert.ok(
        Math.abs(d - weights[i]! / 0.6) < 1e-5 * Math.abs(d) + 1e-7,
        `element ${i}: ${d}, weight ${weights[i]}`,
      );
    });
    assert.ok(through > 500 && through < 700, `${through} of 1000 let through at a ratio of 0.4`);
    // Dropout is linear in x for a given mask, so the loss is the gradient applied to x: the masks are the same one.
    const applied = gradient.reduce((s, d, i) => s + d * values[i]!, 0);
    assert.ok(Math.abs(applied - loss) < 1e-3, `${applied} and ${loss}`);
  });

test("training mode fed as false: everything passes unscaled", async () => {
  const { gradient } = await run(lossGraph(0.4, ["y", "mask"], "fed"), false);
  assert.deepEqual(gradient, [...weights]);
});

test("without a mask the gradient is refused, with what to do", () => {
  assert.throws(
    () => differentiate(lossGraph(0.4, ["y"], "constant"), "loss", ["x"]),
    (e) => e instanceof PareError && /Dropout "y".*give the node a second output/.test(e.message),
  );
});
