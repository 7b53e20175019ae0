/** Metrics against counting by hand: labels, ties, fixed batches, half precision, losses in numbers and as graphs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as losses from "../dist/autodiff/losses.js";
import { fromArrays } from "../dist/data/from-table.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { evaluate } from "../dist/train/evaluate.js";
import { lossOf } from "../dist/train/loss-values.js";
import { suspectPixels } from "../dist/train/suspect-pixels.js";
import { quadrants, smallNet } from "./support/small-training.js";

/** y = x, so that the data's values are the scores. */
function echo(type: "float32" | "float16", shape: (number | string)[], op: "Identity" | "Softmax" = "Identity"): Graph {
  const graph = emptyGraph("echo", 21);
  graph.inputs.push({ name: "x", type, shape });
  graph.outputs.push({ name: new Emitter(graph).op(op, ["x"]), type, shape });
  return graph;
}
const scores = fromArrays({
  name: "scores",
  // Right; second; tied with a lower class; tied with a higher class; sixth.
  x: Float32Array.of(5, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 6, 5, 4, 3, 2, 1),
  dims: [6],
  y: Int32Array.of(0, 1, 1, 0, 5),
  classes: 6,
});

test("top-1 and top-5 count ranks, of ties the lower class comes first", async () => {
  const m = await evaluate(echo("float32", ["n", 6]), scores);
  assert.deepEqual([m.samples, m.top1, m.top5], [5, 2 / 5, 4 / 5]);
  assert.equal(m.error, 1 - m.top1);
  for (const [graph, options] of [
    [echo("float32", [1, 6]), {}],
    [echo("float32", [2, 6]), {}],
    [echo("float16", ["n", 6]), {}],
    [echo("float32", ["n", 6]), { batchSize: 2 }],
    [echo("float32", ["n", 6], "Softmax"), {}],
  ] as const) {
    const same = await evaluate(graph, scores, options);
    assert.deepEqual([same.samples, same.top1, same.top5], [5, 2 / 5, 4 / 5]);
    assert.ok(Math.abs(same.loss - m.loss) < 1e-5, `${same.loss} should be ${m.loss}`);
  }
  assert.equal((await evaluate(echo("float32", ["n", 6]), scores, { limit: 3 })).samples, 3);
});

test("an output that is not a number is an error that says where it comes from", async () => {
  const nan: Draft = draft(smallNet());
  nan.initializers.set("fc2.bias", floats([0, Number.NaN, 0, 0], [4]));
  await assert.rejects(evaluate(nan, quadrants(4)), /output "y" is not a number: initialiser "fc2.bias" holds NaN/);
  const data = fromArrays({ x: Float32Array.of(1, 2), dims: [2], y: Int32Array.of(0), classes: 2 });
  const graph = emptyGraph("nan", 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 2] });
  graph.outputs.push({ name: g.op("Sqrt", [g.op("Neg", ["x"])]), type: "float32", shape: ["n", 2] });
  await assert.rejects(evaluate(graph, data), /is not a number: no weight is NaN/);
});

test("losses in numbers are those of the nodes", async () => {
  const rows = { data: Float32Array.from({ length: 12 }, (_, i) => Math.sin(i) * 3), count: 3, width: 4 };
  const labels = Int32Array.of(2, 0, 3);
  const targets = Float32Array.from({ length: 12 }, (_, i) => Math.abs(Math.cos(i)));
  const nodes = {
    "cross-entropy": [
      (g: Emitter) => losses.crossEntropyOnLabels(g, "y", "labels", 4),
      (g: Emitter) => losses.crossEntropyOnDistributions(g, "y", "targets"),
    ],
    mse: [
      (g: Emitter) => losses.meanSquaredError(g, "y", losses.oneHot(g, "labels", 4)),
      (g: Emitter) => losses.meanSquaredError(g, "y", "targets"),
    ],
    "squared-hinge": [
      (g: Emitter) => losses.squaredHinge(g, "y", losses.oneHot(g, "labels", 4, -1, 1)),
      (g: Emitter) => losses.squaredHinge(g, "y", "targets"),
    ],
  } as const;
  for (const [kind, [onLabels, onTargets]] of Object.entries(nodes))
    for (const [emit, values] of [
      [onLabels, lossOf(kind as "mse", rows, labels)],
      [onTargets, lossOf(kind as "mse", rows, undefined, targets)],
    ] as const) {
      const graph = emptyGraph(kind, 21);
      graph.inputs.push(
        { name: "y", type: "float32", shape: [3, 4] },
        { name: "labels", type: "int64", shape: [3] },
        { name: "targets", type: "float32", shape: [3, 4] },
      );
      graph.outputs.push({ name: emit(new Emitter(graph)), type: "float32", shape: [] });
      const session = await ortNode.load(graph);
      const [loss] = Object.values(
        await session.run({
          y: { type: "float32", dims: [3, 4], data: rows.data },
          labels: { type: "int64", dims: [3], data: BigInt64Array.from(labels, BigInt) },
          targets: { type: "float32", dims: [3, 4], data: targets },
        }),
      );
      assert.ok(Math.abs((loss!.data as Float32Array)[0]! - values) < 1e-5, kind);
      await session.release();
    }
});

test("distillation is T^2 KL of the softened distributions", async () => {
  const [student, teacher] = [
    [1, -2, 0.5],
    [0.3, 0.1, -1],
  ];
  const soften = (v: number[], t: number) => {
    const e = v.map((x) => Math.exp(x / t));
    return e.map((x) => x / e.reduce((a, b) => a + b));
  };
  for (const t of [1, 3]) {
    const [p, q] = [soften(teacher, t), soften(student, t)];
    const wanted = t * t * p.reduce((s, v, i) => s + v * Math.log(v / q[i]!), 0);
    const graph = emptyGraph("kl", 21);
    for (const name of ["s", "t"]) graph.inputs.push({ name, type: "float32", shape: [1, 3] });
    graph.outputs.push({ name: losses.distillation(new Emitter(graph), "s", "t", t), type: "float32", shape: [] });
    const session = await ortNode.load(graph);
    const feed = (v: number[]) => ({ type: "float32" as const, dims: [1, 3], data: Float32Array.from(v) });
    const [loss] = Object.values(await session.run({ s: feed(student), t: feed(teacher) }));
    assert.ok(Math.abs((loss!.data as Float32Array)[0]! - wanted) < 1e-5);
    await session.release();
  }
});

test("mistakes are named", async () => {
  const wide = {
    ...scores,
    batch: (i: ArrayLike<number>) => ({ ...scores.batch(i), labels: new Int32Array(i.length).fill(6) }),
  };
  await assert.rejects(
    evaluate(echo("float32", ["n", 6]), wide),
    /data "scores", sample 0: label 6 is outside the model's classes 0\.\.5/,
  );
  await assert.rejects(
    evaluate(echo("float32", ["n", 7]), scores),
    /input "x" wants \[n,7\], scores holds samples of \[6\].*--data/,
  );
  await assert.rejects(
    evaluate(smallNet(), scores),
    /input "x" wants \[n,2,8,8\], scores holds samples of \[6\].*--data/,
  );
  await assert.rejects(evaluate(smallNet(), quadrants(4), { batchSize: 0 }), /batch size 0/);
});

test("a model that was trained on other pixels is told so, with the scale that suits it; a fitting one is not", async () => {
  // Class 1 where the pixels' sum is above 0: made for pixels around 0.
  const graph = emptyGraph("bright", 21);
  const g = new Emitter(graph);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 1, 2, 2] });
  const sum = g.op("MatMul", [g.op("Flatten", ["x"]), g.constant(floats([-1, 1, -1, 1, -1, 1, -1, 1], [4, 2]))]);
  graph.outputs.push({ name: sum, type: "float32", shape: ["n", 2] });
  const y = Int32Array.from({ length: 300 }, (_, i) => i % 2);
  const x = Float32Array.from({ length: 1200 }, (_, i) => (y[i >> 2] ? 0.6 : 0.2) + 0.05 * (i % 4));
  const dark = fromArrays({ name: "raw", x, dims: [1, 2, 2], y, classes: 2 });
  const hint = await suspectPixels(graph, dark, { engine: ortNode });
  assert.match(hint ?? "", /error is 50\.0 %, but 0\.0 % .* 0\.475\/0\.2\d+, .*--normalize/);
  const right = fromArrays({ name: "right", x: x.map((v) => v - 0.475), dims: [1, 2, 2], y, classes: 2 });
  assert.equal(await suspectPixels(graph, right, { engine: ortNode }), null);
  // Labels drawn at random: no scale helps, so none is blamed.
  const noise = fromArrays({ name: "noise", x, dims: [1, 2, 2], y: y.map((_, i) => ((i * 7919) % 5) & 1), classes: 2 });
  assert.equal(await suspectPixels(graph, noise, { engine: ortNode }), null);
});
