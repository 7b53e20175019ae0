/** explain from the outside: faults planted in a quantized network are named, with their cause. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { explain } from "../dist/explain.js";
import { node } from "../dist/graph/emit.js";
import type { Draft, Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { reducedRange } from "../dist/quantization/reduced-range.js";
import { coarse, grid, network, quantized, samples, scaled } from "./support/planted.js";

type Change = Parameters<typeof quantized>[1];
interface Case {
  readonly fault: string;
  /** Either side, where the fault lies between two. */
  readonly layers: readonly string[];
  readonly cause: string;
  readonly model?: (d: Draft) => void;
  readonly plan?: (graph: Graph) => Change;
}
/** Output channel c of a [o 3 3 i] weight. */
const channelOf = (i: number, inner: number) => Math.floor(i / inner);

const cases: readonly Case[] = [
  {
    fault: "one channel 1000 times as large, undone by the next layer",
    layers: ["a", "b"],
    cause: "outlier channel",
    model: (d) => {
      scaled(d, "a.w", (i) => (channelOf(i, 27) === 3 ? 1000 : 1));
      scaled(d, "a.b", (i) => (i === 3 ? 1000 : 1));
      scaled(d, "b.w", (i) => (channelOf(i, 9) % 8 === 3 ? 1 / 1000 : 1));
    },
  },
  {
    fault: "the same in a later layer",
    layers: ["e", "gated", "f"],
    cause: "outlier channel",
    model: (d) => {
      scaled(d, "e.w", (i) => (channelOf(i, 144) === 5 ? 1000 : 1));
      scaled(d, "e.b", (i) => (i === 5 ? 1000 : 1));
      for (const next of ["g.w", "f.w"]) scaled(d, next, (i) => (channelOf(i, 9) % 8 === 5 ? 1 / 1000 : 1));
    },
  },
  {
    fault: "channels out of balance by function-preserving factors",
    layers: ["a", "b"],
    cause: "imbalance between layers",
    model: (d) => {
      const factor = (c: number) => 10 ** ((c - 3.5) * 0.6);
      scaled(d, "a.w", (i) => factor(channelOf(i, 27)));
      scaled(d, "a.b", factor);
      scaled(d, "b.w", (i) => 1 / factor(channelOf(i, 9) % 8));
    },
  },
  {
    fault: "a value clipped to a tenth",
    layers: ["b"],
    cause: "clipped range",
    plan: () => (plan) => {
      const g = plan.activations.get("b.relu")!;
      plan.activations.set("b.relu", grid(0, (g.scale[0]! * 255) / 10));
    },
  },
  {
    fault: "a grid 200 times too wide",
    layers: ["e"],
    cause: "dead scale",
    plan: () => (plan) => {
      const g = plan.activations.get("e.relu")!;
      plan.activations.set("e.relu", grid(0, g.scale[0]! * 255 * 200));
    },
  },
  {
    fault: "a branch that calibration never saw do anything",
    layers: ["d"],
    cause: "dead scale",
    plan: () => (plan) => {
      plan.activations.set("d", grid(0, 1e-8));
    },
  },
  {
    fault: "a sigmoid that stays near zero on a grid for 0 to 1",
    layers: ["gate"],
    cause: "tiny range on a sigmoid",
    model: (d) => {
      scaled(d, "g.w", () => 0.1);
      const b = d.initializers.get("g.b")!;
      scaled(d, "g.b", (i) => -6 / new Float32Array(b.bytes.slice().buffer)[i]!);
      scaled(d, "f.w", () => 400);
    },
    plan: () => (plan) => {
      plan.activations.set("gate", grid(0, 1));
    },
  },
  {
    fault: "a Concat whose parts differ by a factor of 300",
    layers: ["joined"],
    cause: "shared scale on a concat",
    model: (d) => {
      scaled(d, "c.w", () => 300);
      scaled(d, "c.b", () => 300);
      scaled(d, "e.w", (i) => (channelOf(i, 9) % 16 < 8 ? 1 / 300 : 1));
    },
    // With coarse weights of "e" as well, those would be the first to blame.
    plan: () => (plan) => {
      plan.layers.set("e", { format: "float16", reason: "", weights: new Map() });
    },
  },
  {
    fault: "one scale for weights one of whose output channels is 1000 times as large",
    layers: ["f"],
    cause: "outlier channel",
    model: (d) => {
      scaled(d, "f.w", (i) => (channelOf(i, 72) === 2 ? 100 : 1));
      scaled(d, "f.b", (i) => (i === 2 ? 100 : 1));
      scaled(d, "fc.w", (i) => (i % 8 === 2 ? 1 / 100 : 1));
    },
    plan: (graph) => (plan) => {
      plan.layers.set("f", coarse(graph, "f"));
    },
  },
  {
    fault: "weights clipped to a third of their range",
    layers: ["e"],
    cause: "clipped range",
    plan: (graph) => (plan) => {
      plan.layers.set("e", coarse(graph, "e", 1 / 3, 0));
    },
  },
];

for (const { fault, layers, cause, model, plan } of cases)
  test(`explain names the culprit: ${fault}`, async () => {
    for (const seed of [1, 2]) {
      const graph = network(seed);
      model?.(graph);
      const small = await quantized(graph, plan?.(graph));
      const found = await explain(graph, small, samples(5000), { engine: ortNode });
      const [first] = found.layers;
      const table = JSON.stringify(found.layers.slice(0, 4), null, 1);
      assert.equal(first!.cause, cause, `seed ${seed}: ${table}`);
      assert.ok(layers.includes(first!.name), `seed ${seed}: ${table}`);
      assert.ok(first!.why.length > 20 && first!.fix.length > 10);
    }
  });

test("explain says when onnxruntime itself rounds the weights of a layer that was kept in float", async () => {
  const graph = network(1);
  scaled(graph, "c.w", () => 300);
  scaled(graph, "c.b", () => 300);
  scaled(graph, "e.w", (i) => (channelOf(i, 9) % 16 < 8 ? 1 / 300 : 1));
  const guarded = await quantized(graph, (plan) => plan.layers.delete("e"));
  // As a quantizer writes it that does not know.
  const nodes = guarded.nodes.map((n) =>
    n.outputs[0] === "e" ? { ...n, inputs: ["joined", ...n.inputs.slice(1)] } : n,
  );
  const small = { ...guarded, nodes };
  const { layers } = await explain(graph, small, samples(5000), { engine: ortNode });
  assert.deepEqual([layers[0]!.name, layers[0]!.cause], ["e", "weights rounded by onnxruntime"]);
  const kept = await explain(graph, guarded, samples(5000), { engine: ortNode });
  assert.notEqual(kept.layers[0]!.cause, "weights rounded by onnxruntime", "applyPlan keeps it from doing so");
});

test("explain says saturation where weights use all of int8 on a processor that adds in 16 bits", async (t) => {
  if (!(await reducedRange(ortNode)).reduced) return t.skip("products of 8-bit integers do not overflow here");
  const graph = network(1);
  for (const w of ["b.w", "e.w", "f.w"]) scaled(graph, w, () => 1);
  for (const w of ["b.w", "e.w", "f.w"]) {
    const t = graph.initializers.get(w)!;
    graph.initializers.set(
      w,
      floats(
        float32sOf(t).map((v) => Math.sign(v) * 0.2 * (1 + 0.1 * Math.abs(v))),
        t.dims,
      ),
    );
  }
  const small = await quantized(graph, () => {}, false);
  const { layers } = await explain(graph, small, samples(5000), { engine: ortNode });
  assert.equal(layers[0]!.cause, "saturation", JSON.stringify(layers.slice(0, 3)));
});

test("explain tells what runs in float and why", async () => {
  const graph = network(3);
  graph.nodes.push(node("Softmax", ["y"], ["p"]), node("Erf", ["p"], ["z"]));
  graph.outputs[0] = { name: "z", type: "float32", shape: [1, 6] };
  const found = await explain(graph, await quantized(graph), samples(5000), { engine: ortNode });
  assert.match(found.float.find((f) => f.op === "Erf")!.why, /no integer kernel for Erf/);
  assert.ok(found.integerShare > 0.2 && found.integerShare < 1);
  assert.ok(found.latencyMs.every((ms) => ms > 0));
});

test("explain refuses a model that is not quantized", async () => {
  const graph = network(1);
  await assert.rejects(explain(graph, graph, samples(1), { engine: ortNode }), /rounds no value to a fixed grid/);
});
