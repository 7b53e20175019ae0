/** The engine over onnxruntime-node: types there and back, preallocated outputs, errors that say what to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import ort from "onnxruntime-node";
import type { NDArray } from "../dist/engine/engine.js";
import { modelBytes } from "../dist/engine/model-bytes.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import { type ElementType, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";

function identity(type: ElementType, dims: readonly (number | string)[]): Graph {
  const g = emptyGraph("identity", 21);
  const e = new Emitter(g);
  g.inputs.push({ name: "x", type, shape: dims });
  g.outputs.push({ name: e.op("Identity", ["x"]), type, shape: dims });
  return g;
}

const samples: NDArray[] = [
  { type: "float32", dims: [2, 2], data: Float32Array.of(1, -2.5, 3e-3, 4) },
  { type: "float64", dims: [2], data: Float64Array.of(Math.PI, -1) },
  { type: "float16", dims: [3], data: Uint16Array.of(0x3c00, 0xc000, 0x0001) },
  { type: "int64", dims: [2], data: BigInt64Array.of(-(2n ** 62n), 7n) },
  { type: "int32", dims: [2], data: Int32Array.of(-5, 7) },
  { type: "uint8", dims: [3], data: Uint8Array.of(0, 128, 255) },
  { type: "int8", dims: [2], data: Int8Array.of(-128, 127) },
  { type: "bool", dims: [3], data: Uint8Array.of(1, 0, 1) },
  { type: "string", dims: [2], data: ["grüße", ""] },
  { type: "float32", dims: [], data: Float32Array.of(42) },
  { type: "float32", dims: [0, 3], data: new Float32Array(0) },
];
for (const sample of samples) {
  test(`carries ${sample.type} [${sample.dims}] there and back`, async () => {
    const session = await ortNode.load(identity(sample.type, sample.dims));
    const [out] = Object.values(await session.run({ x: sample }));
    assert.deepEqual({ ...out }, { ...sample });
    await session.release();
  });
}

test("writes into preallocated outputs", async () => {
  const graph = identity("float32", [4]);
  const session = await ortNode.load(graph);
  const name = graph.outputs[0]!.name;
  const into = { type: "float32", dims: [4], data: new Float32Array(4) } as const;
  for (const start of [1, 5]) {
    const x = { type: "float32", dims: [4], data: Float32Array.of(start, 2, 3, 4) } as const;
    const result = await session.run({ x }, [name], { [name]: into });
    assert.equal(result[name], into);
    assert.deepEqual(into.data, x.data);
  }
  await session.release();
});

test("a feed that does not fit is an error with both shapes", async () => {
  const session = await ortNode.load(identity("float32", ["n", 3]));
  const x = (dims: number[]): NDArray => ({
    type: "float32",
    dims,
    data: new Float32Array(dims.reduce((a, b) => a * b)),
  });
  await assert.rejects(session.run({ x: x([2, 4]) }), {
    name: "PareError",
    message: /input "x" has shape \[n,3\], got \[2,4\]/,
  });
  await assert.rejects(session.run({}), { name: "PareError", message: /input "x" is not fed/ });
  await assert.rejects(
    session.run({ x: { ...x([2, 3]), type: "int32", data: new Int32Array(6) } }),
    /is float32, got int32/,
  );
  await assert.rejects(session.run({ x: { ...x([2, 3]), dims: [2, 2] } }), /needs 4 values, the array holds 6/);
  await assert.rejects(session.run({ x: x([2, 3]) }, ["nothing"]), /no output "nothing"/);
  await session.release();
});

test("where an input's rank is unknown, what onnxruntime says of a node is not blamed on the input's shape", async () => {
  const g = emptyGraph("open", 21);
  g.inputs.push({ name: "x", type: "float32", shape: null });
  g.initializers.set("w", floats(new Float32Array(6), [3, 2]));
  g.outputs.push({ name: new Emitter(g).op("MatMul", ["x", "w"]), type: "float32", shape: null });
  const session = await ortNode.load(g);
  const x: NDArray = { type: "float32", dims: [1, 4], data: new Float32Array(4) };
  await assert.rejects(session.run({ x }), (e) => e instanceof PareError && /MatMul/.test(e.message));
  await session.release();
});

test("a model that onnxruntime refuses is a PareError with its words", async () => {
  const g = emptyGraph("broken", 21);
  g.inputs.push({ name: "x", type: "float32", shape: [1] });
  g.outputs.push({ name: new Emitter(g).op("NoSuchOperator", ["x"]), type: "float32", shape: [1] });
  await assert.rejects(
    ortNode.load(g),
    (e) => e instanceof PareError && /model "broken".*NoSuchOperator/.test(e.message),
  );
});

test("weights beyond what a model file holds are handed over beside it", async () => {
  const graph = emptyGraph("large", 21);
  const g = new Emitter(graph);
  const weights = ["a", "b"].map((name, k) => {
    const values = Float32Array.from({ length: 128 * 256 }, (_, i) => (i % 17) * (k + 1));
    graph.initializers.set(name, floats(values, [128, 256]));
    return values;
  });
  graph.outputs.push({ name: g.op("Add", ["a", g.op("Mul", ["b", g.scalar(2)])]), type: "float32", shape: [128, 256] });
  const { model, external } = modelBytes(graph, 1000);
  assert.ok(model.length < 1000);
  assert.deepEqual(
    external.map((e) => e.data.buffer),
    weights.map((w) => w.buffer),
    "not copied",
  );
  const session = await ort.InferenceSession.create(model, { externalData: external });
  const out = await session.run({});
  const [sum] = Object.values(out);
  assert.deepEqual(
    sum!.data,
    weights[0]!.map((v, i) => v + 2 * weights[1]![i]!),
  );
  assert.equal(modelBytes(graph).external.length, 0);
});
