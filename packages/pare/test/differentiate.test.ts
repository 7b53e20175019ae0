/** Gradients of whole nets, and the Hessian's diagonal, against differences. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { differentiate } from "../dist/autodiff/differentiate.js";
import { fittings } from "../dist/data/fit.js";
import { Random } from "../dist/data/random.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { check } from "../dist/graph/check.js";
import { Emitter } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats, sizeOf } from "../dist/graph/tensor.js";
import { trainingGraph } from "../dist/train/training-graph.js";
import { quadrants, smallNet } from "./support/small-training.js";

test("the gradient of a whole net in training mode agrees with differences along random directions", async () => {
  const data = quadrants(12);
  const graph = smallNet();
  const t = trainingGraph(graph, {
    inputs: fittings(data, graph.inputs),
    microBatch: 12,
    loss: "cross-entropy",
    targets: "labels",
    dropout: { drop: 0 },
  });
  const { inputs, labels } = data.batch(Uint32Array.from({ length: 12 }, (_, i) => i));
  const feeds: Record<string, NDArray> = {
    [t.feeds[0]!.name]: { ...inputs[0]!, dims: t.feeds[0]!.dims },
    [t.feeds[1]!.name]: { type: "int64", dims: [12], data: BigInt64Array.from(labels!, BigInt) },
  };
  const values = t.parameters.map((p) => Float32Array.from(float32sOf(graph.initializers.get(p.name)!)));
  const session = await ortNode.load(t.graph);
  const at = async (v: readonly Float32Array[]) => {
    const weights = t.parameters.map((p, i): [string, NDArray] => [
      p.name,
      { type: "float32", dims: p.dims, data: v[i]! },
    ]);
    return session.run({ ...feeds, ...Object.fromEntries(weights) });
  };
  const out = await at(values);
  const random = new Random(4);
  for (const [i, p] of t.parameters.entries()) {
    const gradient = out[t.gradients[i]!]!.data as Float32Array;
    // Along the gradient itself mixed with noise: the slope is large against float32's noise in the loss.
    const norm = Math.sqrt(gradient.reduce((s, v) => s + v * v, 0));
    const direction = gradient.map((v) => v / norm + (random.uniform() - 0.5) / Math.sqrt(gradient.length));
    const slope = gradient.reduce((s, v, k) => s + v * direction[k]!, 0);
    const shifted = (h: number) => values.map((v, k) => (k === i ? v.map((w, q) => w + h * direction[q]!) : v));
    // Fourth-order differences: two steps, one extrapolation.
    const difference = async (h: number) =>
      (((await at(shifted(h)))[t.loss]!.data as Float32Array)[0]! -
        ((await at(shifted(-h)))[t.loss]!.data as Float32Array)[0]!) /
      (2 * h);
    const h = 4e-3;
    const wanted = (4 * (await difference(h)) - (await difference(2 * h))) / 3;
    assert.ok(
      Math.abs(slope - wanted) < 1e-2 * Math.abs(slope) + 2e-4,
      `${p.name}: slope ${slope}, differences say ${wanted}`,
    );
  }
  await session.release();
});

/** x [5,3] -> Gemm -> Tanh -> Gemm -> Softmax cross-entropy, in float64 so that differences are sharp. */
function doubleNet(): { graph: Draft; loss: string; parameters: string[] } {
  const random = new Random(8);
  const graph = emptyGraph("double", 21);
  const g = new Emitter(graph, "float64");
  const constant = (name: string, dims: number[]): string => {
    const data = Float64Array.from({ length: sizeOf(dims) }, () => random.uniform() * 2 - 1);
    graph.initializers.set(name, { type: "float64", dims, bytes: new Uint8Array(data.buffer) });
    return name;
  };
  const x = constant("x", [5, 3]);
  const y = constant("y", [5, 2]);
  const parameters = [constant("w1", [3, 4]), constant("b1", [4]), constant("w2", [4, 2])];
  const h = g.op("Tanh", [g.op("Add", [g.op("MatMul", [x, "w1"]), "b1"])]);
  const z = g.op("Sub", [g.op("MatMul", [h, "w2"]), y]);
  const loss = g.op("ReduceMean", [g.op("Mul", [z, z])], { keepdims: 0 });
  graph.outputs.push({ name: loss, type: "float64", shape: [] });
  return { graph, loss, parameters };
}
const doubles = (graph: Graph, name: string): Float64Array =>
  new Float64Array(graph.initializers.get(name)!.bytes.slice().buffer);

test("gradient and Hessian diagonal of a small net agree with central differences in float64", async () => {
  const { graph, loss, parameters } = doubleNet();
  const first = differentiate(graph, loss, parameters);
  check(first.graph);
  const evaluateAt = async (
    name: string,
    values: Float64Array,
    wanted: Graph,
    output: string,
  ): Promise<Float64Array> => {
    const moved = draft(wanted);
    moved.initializers.set(name, { ...graph.initializers.get(name)!, bytes: new Uint8Array(values.slice().buffer) });
    const session = await ortNode.load(moved);
    const out = await session.run({}, [output]);
    await session.release();
    return out[output]!.data as Float64Array;
  };
  const step = 1e-5;
  for (const p of parameters) {
    const values = doubles(graph, p);
    const gradient = await evaluateAt(p, values, first.graph, first.gradients.get(p)!);
    // The diagonal, element by element: d/dp_i of gradient_i.
    const diagonal: number[] = [];
    for (let i = 0; i < values.length; i++) {
      const picked = draft(first.graph);
      const g = new Emitter(picked, "float64", `pick${i}_`);
      const one = g.op("GatherElements", [g.reshape(first.gradients.get(p)!, [-1]), g.ints([i])], { axis: 0 });
      const scalar = g.reshape(one, []);
      const second = differentiate(picked, scalar, [p]);
      diagonal.push((await evaluateAt(p, values, second.graph, second.gradients.get(p)!))[i]!);

      const shift = (h: number) => values.map((v, k) => (k === i ? v + h : v));
      const [up, down] = [
        await evaluateAt(p, shift(step), first.graph, loss),
        await evaluateAt(p, shift(-step), first.graph, loss),
      ];
      const slope = (up[0]! - down[0]!) / (2 * step);
      assert.ok(Math.abs(gradient[i]! - slope) < 1e-9, `d/d${p}[${i}]: ${gradient[i]}, differences say ${slope}`);
      const [upper, lower] = [
        await evaluateAt(p, shift(step), first.graph, first.gradients.get(p)!),
        await evaluateAt(p, shift(-step), first.graph, first.gradients.get(p)!),
      ];
      const curve = (upper[i]! - lower[i]!) / (2 * step);
      assert.ok(Math.abs(diagonal[i]! - curve) < 1e-8, `d2/d${p}[${i}]2: ${diagonal[i]}, differences say ${curve}`);
    }
    assert.ok(diagonal.some((d) => Math.abs(d) > 1e-3));
  }
});

test("the Hessian's diagonal of a net of composites agrees with differences of its gradient", async () => {
  // Conv -> BatchNormTraining -> Relu -> MaxPool -> Gemm -> squared error, all in float32.
  const random = new Random(21);
  const graph = emptyGraph("composites", 21);
  graph.opsets.set("pare", 1);
  const g = new Emitter(graph);
  const constant = (name: string, dims: number[]): string => {
    graph.initializers.set(
      name,
      floats(
        Float32Array.from({ length: sizeOf(dims) }, () => random.uniform() * 2 - 1),
        dims,
      ),
    );
    return name;
  };
  const parameters = [
    constant("w", [3, 2, 3, 3]),
    constant("scale", [3]),
    constant("bias", [3]),
    constant("fc", [12, 2]),
  ];
  const y = g.op("Conv", [constant("x", [4, 2, 4, 4]), "w"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  const [n] = g.ops("BatchNormTraining", [y, "scale", "bias"], { epsilon: { float: 1e-2 } }, 3, "pare");
  const pooled = g.op("MaxPool", [g.op("Relu", [n!])], { kernel_shape: [2, 2], strides: [2, 2] });
  const z = g.op("Sub", [g.op("MatMul", [g.reshape(pooled, [4, 12]), "fc"]), constant("target", [4, 2])]);
  const loss = g.op("ReduceMean", [g.op("Mul", [z, z])], { keepdims: 0 });
  const first = differentiate(graph, loss, parameters);
  const run = async (wanted: Graph, output: string, name: string, values: Float32Array): Promise<Float32Array> => {
    const moved = draft(wanted);
    moved.initializers.set(name, floats(values, graph.initializers.get(name)!.dims));
    const session = await ortNode.load(moved);
    const out = await session.run({}, [output]);
    await session.release();
    return out[output]!.data as Float32Array;
  };
  for (const p of parameters) {
    const values = Float32Array.from(float32sOf(graph.initializers.get(p)!));
    for (let i = 0; i < values.length; i += p === "w" ? 11 : 3) {
      const picked = draft(first.graph);
      const e = new Emitter(picked, "float32", `pick${i}_`);
      const one = e.op("GatherElements", [e.reshape(first.gradients.get(p)!, [-1]), e.ints([i])], { axis: 0 });
      const second = differentiate(picked, e.reshape(one, []), [p]);
      const found = (await run(second.graph, second.gradients.get(p)!, p, values))[i]!;
      const h = 2e-3;
      const shift = (by: number) => values.map((v, k) => (k === i ? v + by : v));
      const [up, down] = [
        (await run(first.graph, first.gradients.get(p)!, p, shift(h)))[i]!,
        (await run(first.graph, first.gradients.get(p)!, p, shift(-h)))[i]!,
      ];
      const wanted = (up - down) / (2 * h);
      assert.ok(
        Math.abs(found - wanted) < 2e-2 * Math.abs(wanted) + 2e-3,
        `${p}[${i}]: ${found}, differences say ${wanted}`,
      );
    }
  }
});

test("an operator without a gradient on the way is named with its node and reason; off the way it is no matter", () => {
  const graph = emptyGraph("refused", 21);
  const g = new Emitter(graph);
  graph.initializers.set("w", floats([1, 2], [2]));
  graph.initializers.set("v", floats([3, 4], [2]));
  const strange = g.op("Frobnicate", ["v"], {}, "my.domain");
  graph.values.set(strange, { name: strange, type: "float32", shape: [2] });
  const loss = g.op("ReduceSum", [g.op("Mul", ["w", strange])], { keepdims: 0 });
  const { gradients } = differentiate(graph, loss, ["w"]);
  assert.equal(gradients.size, 1);
  assert.throws(() => differentiate(graph, loss, ["v"]), {
    name: "PareError",
    message: /my\.domain\.Frobnicate ".*": the gradient would have to pass it/,
  });
  const q = g.constant({ type: "int8", dims: [2], bytes: Uint8Array.of(1, 2) });
  graph.initializers.set("s", floats([0.5], []));
  const dequantized = g.op("ReduceSum", [g.op("DequantizeLinear", [q, "s"])], { keepdims: 0 });
  assert.throws(() => differentiate(graph, dequantized, ["s"]), {
    name: "PareError",
    message: /DequantizeLinear ".*": the gradient cannot pass it: its input is integers/,
  });
  assert.throws(() => differentiate(graph, "nothing", ["w"]), /no value "nothing"/);
  assert.throws(() => differentiate(graph, loss, ["x"]), /no parameter "x"/);
});

test("a parameter that the loss does not depend on has a gradient of zeros", async () => {
  const graph = emptyGraph("zeros", 21);
  const g = new Emitter(graph);
  for (const name of ["w", "v"]) graph.initializers.set(name, floats([1, 2], [2]));
  const loss = g.op("ReduceSum", [g.op("Mul", ["w", "w"])], { keepdims: 0 });
  const result = differentiate(graph, loss, ["w", "v"]);
  const session = await ortNode.load(result.graph);
  const out = await session.run({});
  assert.deepEqual([...(out[result.gradients.get("w")!]!.data as Float32Array)], [2, 4]);
  assert.deepEqual([...(out[result.gradients.get("v")!]!.data as Float32Array)], [0, 0]);
});
