/** inspect: exact parameter and MAC counts of known networks, and its schema on every model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect, inspection } from "../dist/analyze/inspect.js";
import { Emitter } from "../dist/graph/emit.js";
import { read } from "../dist/graph/file.js";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { network } from "../dist/methods/architecture/networks.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";

for (const [name, parameters, macs] of [
  ["lenet-300-100", 266_610, 266_200],
  ["lenet-5", 431_080, 2_293_000],
] as const)
  test(`${name} has ${parameters} parameters and ${macs} MACs`, () => {
    const found = inspect(network(name));
    assert.equal(found.parameters, parameters);
    assert.equal(found.macs, macs);
    assert.equal(found.sizeBytes, 4 * parameters);
  });

/** A one-node graph y = op(x, weights...). */
function single(
  op: string,
  x: number[],
  weights: number[][],
  attributes: Record<string, number | number[] | string>,
): Graph {
  const d = emptyGraph("g", 21);
  const g = new Emitter(d);
  d.inputs.push({ name: "x", type: "float32", shape: x });
  const constants = weights.map((dims) =>
    g.constant(
      floats(
        new Float32Array(dims.reduce((a, b) => a * b, 1)).map((_, i) => i + 1),
        dims,
      ),
    ),
  );
  d.outputs.push({ name: g.op(op, ["x", ...constants], attributes), type: "float32", shape: null });
  return d;
}
test("MACs follow from the axes", () => {
  const macs = (...a: Parameters<typeof single>) => inspect(single(...a)).macs;
  const pads = [1, 1, 1, 1];
  assert.equal(macs("Conv", [2, 3, 8, 8], [[5, 3, 3, 3], [5]], { pads }), 2 * 5 * 64 * 27);
  assert.equal(macs("Conv", [1, 6, 8, 8], [[6, 1, 3, 3]], { pads, group: 6 }), 6 * 64 * 9);
  assert.equal(macs("Conv", [1, 6, 8, 8], [[4, 3, 3, 3]], { pads, group: 2, strides: [2, 2] }), 4 * 16 * 27);
  // Each input position is spread over the window once.
  assert.equal(macs("ConvTranspose", [1, 6, 4, 4], [[6, 5, 2, 2]], { strides: [2, 2] }), 6 * 16 * 5 * 4);
  assert.equal(macs("ConvTranspose", [1, 6, 4, 4], [[6, 5, 2, 2]], { strides: [2, 2], group: 3 }), 6 * 16 * 5 * 4);
  assert.equal(macs("MatMul", [2, 3, 4, 5], [[5, 7]], {}), 2 * 3 * 4 * 5 * 7);
  assert.equal(macs("Gemm", [4, 5], [[7, 5], [7]], { transB: 1 }), 4 * 5 * 7);
  const lstm = { hidden_size: 6 };
  assert.equal(
    macs(
      "LSTM",
      [9, 2, 5],
      [
        [1, 24, 5],
        [1, 24, 6],
        [1, 48],
      ],
      lstm,
    ),
    9 * 2 * 24 * (5 + 6),
  );
  assert.equal(
    macs(
      "GRU",
      [9, 2, 5],
      [
        [2, 18, 5],
        [2, 18, 6],
      ],
      { ...lstm, direction: "bidirectional" },
    ),
    9 * 2 * 2 * 18 * 11,
  );
  assert.equal(
    macs(
      "RNN",
      [9, 2, 5],
      [
        [1, 6, 5],
        [1, 6, 6],
      ],
      lstm,
    ),
    9 * 2 * 6 * 11,
  );
  assert.equal(macs("Add", [4, 5], [[5]], {}), 0);
});

test("an LSTM whose sequence is unused still counts", () => {
  const d = emptyGraph("g", 21);
  const g = new Emitter(d);
  d.inputs.push({ name: "x", type: "float32", shape: [9, 2, 5] });
  const w = (dims: number[]) => g.constant(floats(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims));
  d.nodes.push({
    op: "LSTM",
    domain: "",
    name: "lstm",
    inputs: ["x", w([1, 24, 5]), w([1, 24, 6])],
    outputs: ["", "last"],
    attributes: { hidden_size: { kind: "int", value: 6 } },
  });
  d.outputs.push({ name: "last", type: "float32", shape: null });
  assert.equal(inspect(d).macs, 9 * 2 * 24 * 11);
});

test("resnet20-cifar.onnx", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const found = inspect(await read(`${sharedData}models/resnet20-cifar.onnx`));
  assert.equal(found.parameters, 272_474);
  assert.equal(found.macs, 40_813_184);
  assert.equal(found.operators.Conv, 21);
  assert.equal(found.layers.filter((l) => l.op === "Conv").length, 21);
  assert.equal(found.groups.filter((g) => g.free).length, 12);
});

for (const model of [...sharedModels(), ...packagedModels()])
  test(`inspect ${model.name}`, async () => {
    const found = inspect(await read(model.path), { inputs: model.dims });
    assert.deepEqual(inspection.parse(JSON.parse(JSON.stringify(found))), found);
    assert.ok(found.nonzero <= found.parameters);
    assert.equal(
      Object.values(found.operators).reduce((a, b) => a + b),
      found.nodes,
    );
  });
