/** simplify on small graphs made here: what goes, what stays, in bodies too, with the same outputs in onnxruntime. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { check } from "../dist/graph/check.js";
import { attribute, node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import type { Attribute, Draft, Graph, Node, Shape, Subgraph, Tensor } from "../dist/graph/graph.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { print } from "../dist/graph/print.js";
import { floats, int64s } from "../dist/graph/tensor.js";
import { uniqueNames } from "../dist/passes/unique-names.js";
import { simplify } from "../dist/simplify.js";
import { branching, looping } from "./support/hand-made.js";
import { ortOutputs, ortTensor, randomTensor, seeded } from "./support/ort-outputs.js";

function model(nodes: Node[], weights: Record<string, Tensor>, shape: Shape, opset = 17): Draft {
  const graph = emptyGraph("small", opset);
  graph.irVersion = 8;
  graph.inputs.push({ name: "x", type: "float32", shape });
  for (const [name, t] of Object.entries(weights)) graph.initializers.set(name, t);
  graph.nodes = nodes;
  graph.outputs.push({ name: "y", type: "float32", shape: null });
  return graph;
}
const random = (dims: number[], seed = 1): Tensor => randomTensor("float32", dims, seeded(seed));
const body = (content: Partial<Subgraph>): Attribute => ({
  kind: "graph",
  value: { name: "body", nodes: [], initializers: new Map(), inputs: [], outputs: [], values: new Map(), ...content },
});

/** The operators left; throws where outputs on random inputs of `dims` differ or the input graph was changed. */
async function left(graph: Graph, dims: number[], options = {}): Promise<string[]> {
  const before = print(graph);
  const { graph: simple } = await simplify(graph, { engine: ortNode, ...options });
  assert.equal(print(graph), before);
  check(simple);
  const x = ortTensor(random(dims, 7));
  const [wanted] = Object.values(await ortOutputs(toBytes(graph), { x }, "disabled"));
  const [found] = Object.values(await ortOutputs(toBytes(simple), { x }, "disabled"));
  assert.deepEqual([found!.type, found!.dims], [wanted!.type, wanted!.dims]);
  const [a, b] = [wanted!, found!].map((o) => new Float32Array((o.bits as Uint8Array).slice().buffer));
  const largest = Math.max(...a!.map(Math.abs));
  assert.ok(largest > 0, "an output of zeros would show nothing");
  a!.forEach((v, i) => {
    assert.ok(Math.abs(v - b![i]!) <= 1e-5 * largest, `[${i}]: ${b![i]} instead of ${v}`);
  });
  return simple.nodes.map((n) => n.op);
}

const bn = ["scale", "shift", "mean", "variance"];
const statistics = (c: number): Record<string, Tensor> => ({
  scale: random([c], 2),
  shift: random([c], 3),
  mean: random([c], 4),
  variance: floats(
    Array.from({ length: c }, (_, i) => 0.5 + i),
    [c],
  ),
});

test("normalisation, factors and biases go into the contraction before them", async () => {
  const conv = node("Conv", ["x", "w"], ["a"], { pads: [1, 1, 1, 1], group: 2 });
  const normal = node("BatchNormalization", ["a", ...bn], ["b"]);
  const scaled = node("Mul", ["b", "factor"], ["c"]);
  const shifted = node("Add", ["row", "c"], ["y"]);
  const weights = {
    w: random([6, 2, 3, 3]),
    ...statistics(6),
    factor: random([6, 1, 1], 5),
    row: random([1, 6, 1, 1], 6),
  };
  assert.deepEqual(await left(model([conv, normal, scaled, shifted], weights, ["n", 4, 5, 5]), [2, 4, 5, 5]), ["Conv"]);

  const up = node("ConvTranspose", ["x", "w"], ["a"], { group: 2, strides: [2, 2] });
  const upWeights = { w: random([4, 3, 2, 2]), ...statistics(6) };
  const last = { ...normal, outputs: ["y"] };
  assert.deepEqual(await left(model([up, last], upWeights, ["n", 4, 5, 5]), [2, 4, 5, 5]), ["ConvTranspose"]);

  const linear = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["row", "a"], ["c"]), node("Mul", ["c", "k"], ["y"])];
  const rows = { w: random([4, 6]), row: random([6], 2), k: random([6], 3) };
  assert.deepEqual(await left(model(linear, rows, ["n", 4]), [3, 4]), ["Gemm"]);
});

test("a weight that two convolutions share keeps both as they are", async () => {
  const nodes = [
    node("Conv", ["x", "w"], ["a"]),
    node("BatchNormalization", ["a", ...bn], ["b"]),
    node("Abs", ["x"], ["z"]),
    node("Conv", ["z", "w"], ["c"]),
    node("Add", ["b", "c"], ["y"]),
  ];
  const graph = model(nodes, { w: random([4, 4, 1, 1]), ...statistics(4) }, ["n", 4, 3, 3]);
  assert.deepEqual(await left(graph, [1, 4, 3, 3]), ["Conv", "BatchNormalization", "Abs", "Conv", "Add"]);
});

test("pairs that undo one another, equal nodes and what does nothing go; what changes something stays", async () => {
  const nodes = [
    node("Transpose", ["x"], ["a"], { perm: [0, 2, 1] }),
    node("Transpose", ["a"], ["b"], { perm: [0, 2, 1] }),
    node("Unsqueeze", ["b", "one"], ["c"]),
    node("Squeeze", ["c", "one"], ["d"]),
    node("Cast", ["d"], ["e"], { to: 1 }),
    node("Pad", ["e", "none"], ["f"]),
    node("Slice", ["f", "from", "to", "last"], ["g"]),
    node("Exp", ["g"], ["h"]),
    node("Exp", ["x"], ["i"]),
    node("Add", ["h", "i"], ["k"]),
    node("Neg", ["k"], ["unread"]),
    node("Identity", ["k"], ["y"]),
  ];
  const weights = {
    one: int64s([1]),
    none: int64s([0, 0, 0, 0, 0, 0]),
    from: int64s([0]),
    to: int64s([99]),
    last: int64s([2]),
  };
  assert.deepEqual(await left(model(nodes, weights, ["n", 3, 4]), [2, 3, 4]), ["Exp", "Add"]);
  const flips = [node("Transpose", ["x"], ["a"], { perm: [1, 0, 2] }), node("Reshape", ["a", "to"], ["y"])];
  assert.deepEqual(await left(model(flips, { to: int64s([0, -1]) }, ["n", 3, 4]), [2, 3, 4]), ["Transpose", "Reshape"]);
});

test("constants are computed beforehand, but none that would cost more bytes than the nodes", async () => {
  const nodes = [
    node("Transpose", ["w"], ["wt"]),
    node("MatMul", ["x", "wt"], ["a"]),
    node("Expand", ["small", "large"], ["e"]),
    node("Add", ["a", "e"], ["y"]),
  ];
  const weights = { w: random([4, 3]), small: floats([3], [1]), large: int64s([500, 4]) };
  const graph = model(nodes, weights, [500, 3]);
  assert.deepEqual(await left(graph, [500, 3]), ["MatMul", "Expand", "Add"]);
  // Read elsewhere too: transposing it beforehand would store it twice.
  const twice = [...nodes.slice(0, 2), node("MatMul", ["a", "w"], ["b"]), node("MatMul", ["b", "wt"], ["y"])];
  const shared = model(twice, { w: random([40, 30]) }, [5, 30]);
  assert.deepEqual(await left(shared, [5, 30]), ["Transpose", "MatMul", "MatMul", "MatMul"]);
});

test("an open batch stays open; dims that are given settle what hangs on them", async () => {
  const nodes = [
    node("Shape", ["x"], ["s"]),
    node("Gather", ["s", "zero"], ["n"], { axis: 0 }),
    node("Concat", ["n", "rest"], ["to"], { axis: 0 }),
    node("Reshape", ["x", "to"], ["y"]),
  ];
  const graph = model(nodes, { zero: int64s([0]), rest: int64s([12]) }, ["n", 3, 4]);
  for (const batch of [1, 5]) assert.deepEqual(await left(graph, [batch, 3, 4]), ["Reshape"]);
  const { graph: fixed } = await simplify(graph, { engine: ortNode, inputs: { x: [5, 3, 4] } });
  assert.deepEqual(
    [fixed.inputs[0]!.shape, fixed.outputs[0]!.shape],
    [
      [5, 3, 4],
      [5, 12],
    ],
  );
  await assert.rejects(simplify(graph, { engine: ortNode, inputs: { z: [1] } }), /no input "z"; it has "x"/);
  await assert.rejects(simplify(graph, { engine: ortNode, inputs: { x: [5, 12] } }), /"x" is \[n,3,4\]/);
});

test("branches: a known condition leaves its branch alone, in place; bodies are simplified where they stay", async () => {
  const graph = branching();
  assert.deepEqual(await left(graph, [3]), ["ReduceSum", "Greater", "If"]);
  const no: Tensor = { type: "bool", dims: [], bytes: Uint8Array.of(0) };
  const known: Graph = { ...graph, nodes: graph.nodes.slice(-1), initializers: new Map([["positive", no]]) };
  assert.deepEqual(await left(known, [3]), ["Mul"]);

  const idle = node("Identity", ["v"], ["v1"]);
  const loop = looping();
  const inner = (loop.nodes[0]!.attributes.body as Attribute & { kind: "graph" }).value;
  const twice = node("Mul", ["v1", "w1"], ["w"]);
  const nodes = [inner.nodes[0]!, idle, node("Exp", ["half"], ["w1"]), twice];
  const initializers = new Map([["half", floats([0.5], [1])]]);
  const step = body({ ...inner, nodes, initializers });
  const looped: Graph = { ...loop, nodes: [{ ...loop.nodes[0]!, attributes: { body: step } }] };
  assert.deepEqual(await left(looped, [3]), ["Loop"]);
  const { graph: simple } = await simplify(looped, { engine: ortNode });
  const kept = (simple.nodes[0]!.attributes.body as Attribute & { kind: "graph" }).value;
  assert.deepEqual(kept.nodes.map((n) => n.op).sort(), ["Identity", "Mul"], "a body must compute its outputs itself");
});

test("names that two bodies both give are told apart", () => {
  const graph = branching();
  const branch = (a: Attribute | undefined): Subgraph => (a as Attribute & { kind: "graph" }).value;
  const last = graph.nodes.at(-1)!;
  const then = branch(last.attributes.then_branch);
  const both: Graph = {
    ...graph,
    nodes: [...graph.nodes.slice(0, -1), { ...last, attributes: { then_branch: body(then), else_branch: body(then) } }],
  };
  const unique = uniqueNames(both);
  check(unique);
  const names = ["then_branch", "else_branch"].flatMap((name) => {
    const b = branch(unique.nodes.at(-1)!.attributes[name]);
    return [...b.initializers.keys(), ...b.nodes.flatMap((n) => n.outputs)];
  });
  assert.equal(new Set(names).size, names.length);
  assert.equal(uniqueNames(unique), unique);
});

test("operators that Pare does not know pass through untouched; raising such a model is refused", async () => {
  const own: Node = { ...node("Mystery", ["x"], ["a"], { depth: 3 }), domain: "own" };
  const nodes = [own, node("Identity", ["a"], ["b"]), { ...own, inputs: ["b"], outputs: ["y"] }];
  const graph = model(nodes, {}, ["n"], 13);
  graph.opsets.set("own", 1);
  const { graph: simple, notes } = await simplify(graph, { engine: ortNode });
  assert.deepEqual(
    simple.nodes.map((n) => [n.op, n.attributes.depth]),
    [
      ["Mystery", attribute(3)],
      ["Mystery", attribute(3)],
    ],
  );
  assert.deepEqual(notes, []);
  assert.equal((await simplify(graph, { engine: ortNode, opset: 19 })).graph.opsets.get(""), 19);
  const standard = model([node("NotYetThere", ["x"], ["y"])], {}, ["n"], 13);
  await assert.rejects(simplify(standard, { engine: ortNode, opset: 17 }), /opset 13 to 17.*NotYetThere/);
  const old = await simplify(model([node("NotYetThere", ["x"], ["y"])], {}, ["n"], 6), { engine: ortNode });
  assert.equal(old.graph.opsets.get(""), 6);
  assert.match(old.notes.join(), /opset stays 6.*NotYetThere/);
  const kept = await simplify(standard, { engine: ortNode, opset: "newest" });
  assert.equal(kept.graph.opsets.get(""), 13);
  assert.match(kept.notes.join(), /opset stays 13.*NotYetThere/);
  const newer = model([node("Sqrt", ["x"], ["y"])], {}, ["n"], 22);
  assert.equal((await simplify(newer, { engine: ortNode, opset: "newest" })).graph.opsets.get(""), 22);
  await assert.rejects(simplify(newer, { engine: ortNode, opset: 21 }), /opset 21: the model is of opset 22/);
});
