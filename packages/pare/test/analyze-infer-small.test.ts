/** Shape inference on small graphs: symbols, contradictions, unknown operators, control flow, sizes that would not fit in memory. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { infer } from "../dist/analyze/infer.js";
import { inspect } from "../dist/analyze/inspect.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import { type Dim, type Draft, emptyGraph, type Subgraph, type Value } from "../dist/graph/graph.js";
import { floats, int64s } from "../dist/graph/tensor.js";

function net(x: readonly Dim[], opset = 21): { d: Draft; g: Emitter } {
  const d = emptyGraph("net", opset);
  d.inputs.push({ name: "x", type: "float32", shape: x });
  return { d, g: new Emitter(d) };
}
const shapeOf = (d: Draft, name: string, inputs = {}) => infer(d, { inputs }).types.get(name)?.shape;
const weight = (g: Emitter, ...dims: number[]) =>
  g.constant(floats(new Float32Array(dims.reduce((a, b) => a * b, 1)), dims));

test("symbols pass through", () => {
  const { d, g } = net(["batch", 3, 8, "w"]);
  const c = g.op("Conv", ["x", weight(g, 4, 3, 3, 3)], { pads: [1, 1, 1, 1] });
  assert.deepEqual(shapeOf(d, c)?.slice(0, 3), ["batch", 4, 8]);
  assert.deepEqual(shapeOf(d, g.transpose("x", [3, 0, 2, 1])), ["w", "batch", 8, 3]);
  assert.deepEqual(shapeOf(d, g.reshape("x", [0, -1, 2])), ["batch", "", 2]);
  assert.deepEqual(shapeOf(d, g.reshape("x", [0, 24, -1])), ["batch", 24, "w"]);
  assert.deepEqual(shapeOf(d, g.op("Flatten", ["x"], { axis: 1 })), ["batch", ""]);
  assert.deepEqual(shapeOf(d, g.op("Unsqueeze", ["x", g.ints([0])])), [1, "batch", 3, 8, "w"]);
  assert.deepEqual(shapeOf(d, c, { x: [5, 3, 8, 7] }), [5, 4, 8, 7]);
});
test("symbols pass through shape arithmetic", () => {
  const { d, g } = net(["batch", 3, 8, "w"]);
  const shape = g.op("Shape", ["x"]);
  const batch = g.op("Unsqueeze", [g.op("Gather", [shape, g.constant(int64s([0], []))]), g.ints([0])]);
  const flat = g.op("Reshape", ["x", g.op("Concat", [batch, g.ints([24, -1])], { axis: 0 })]);
  assert.deepEqual(shapeOf(d, flat), ["batch", 24, "w"]);
  const tail = g.op("Slice", [g.cast(shape, "int64"), g.ints([2]), g.ints([4])]);
  assert.deepEqual(shapeOf(d, g.op("ConstantOfShape", [g.op("Concat", [tail, batch], { axis: 0 })])), [
    8,
    "w",
    "batch",
  ]);
  assert.deepEqual(shapeOf(d, g.op("Expand", [g.scalar(1), shape])), ["batch", 3, 8, "w"]);
  const doubled = g.op("Mul", [batch, g.ints([2])]);
  assert.deepEqual(shapeOf(d, g.op("ConstantOfShape", [doubled])), [""]);
});
test("contradictions name the node and both values", () => {
  const { d, g } = net([2, 3, 8, 8]);
  d.nodes.push(node("Conv", ["x", weight(g, 4, 5, 3, 3)], ["y"], {}, "", "first/conv"));
  assert.throws(
    () => infer(d),
    (e) => e instanceof PareError && /first\/conv.*5.*3/.test(e.message),
  );
  const other = net([2, 6]);
  other.d.nodes.push(node("Reshape", ["x", other.g.ints([5, -1])], ["y"], {}, "", "cube"));
  assert.throws(() => infer(other.d), {
    name: "PareError",
    message: /Reshape "cube": x \[2,6\] has 12 elements and cannot become \[5,-1\]/,
  });
});
test("inputs that do not fit are refused", () => {
  const { d } = net([2, 3]);
  assert.throws(() => infer(d, { inputs: { z: [1] } }), /no input "z"; it has "x"/);
  assert.throws(() => infer(d, { inputs: { x: [1, 2, 3] } }), /input "x" is \[2,3\].*\[1,2,3\]/);
  assert.throws(() => infer(d, { inputs: { x: [1, -2] } }), /cannot be given dims/);
});
test("an unknown operator leaves its outputs unknown and blocks what it reads", () => {
  const { d, g } = net([2, 6]);
  const h = g.op("MatMul", ["x", weight(g, 6, 8)]);
  const odd = g.op("Mystery", [h], {}, "my.domain");
  d.outputs.push({ name: g.op("MatMul", [odd, weight(g, 8, 3)]), type: "float32", shape: null });
  assert.deepEqual(infer(d).types.get(odd), { type: "undefined", shape: null });
  const found = inspect(d);
  assert.equal(found.operators["my.domain.Mystery"], 1);
  assert.ok(found.groups.every((v) => !v.free));
  assert.ok(found.groups.some((v) => /Mystery/.test(v.reason ?? "")));
});
test("sizes beyond memory cost nothing", () => {
  const { d, g } = net([2 ** 20, 2 ** 20, 64]);
  const huge = g.op("ConstantOfShape", [g.ints([2 ** 31, 2 ** 20])]);
  const one = g.op("Expand", [g.scalar(1), g.ints([2 ** 40])]);
  const flat = g.op("Flatten", ["x"], { axis: 2 });
  d.outputs.push({ name: huge, type: "float32", shape: null }, { name: one, type: "float32", shape: null });
  d.outputs.push({ name: g.op("MatMul", [flat, weight(g, 64, 4)]), type: "float32", shape: null });
  const started = performance.now();
  assert.deepEqual(shapeOf(d, flat), [2 ** 40, 64]);
  assert.equal(inspect(d).macs, 2 ** 48);
  assert.ok(performance.now() - started < 2000);
});

const value = (name: string, shape: readonly Dim[] | null = null): Value => ({ name, type: "float32", shape });
function body(build: (g: Emitter, d: Draft) => void): Subgraph {
  const d = emptyGraph("body", 21);
  build(new Emitter(d, "float32", "b."), d);
  return d;
}
test("If: the branch that is taken is known, or only what both have in common", () => {
  const branch = (dims: number[]) =>
    body((g, d) => {
      d.outputs.push(value(g.op("Expand", ["x", g.ints(dims)])));
    });
  const make = (condition: "known" | "fed") => {
    const { d, g } = net([1, 3]);
    const c = condition === "known" ? g.constant({ type: "bool", dims: [], bytes: Uint8Array.of(0) }) : "c";
    if (condition === "fed") d.inputs.push({ name: "c", type: "bool", shape: [] });
    const graphs = {
      then_branch: { kind: "graph", value: branch([4, 3]) },
      else_branch: { kind: "graph", value: branch([5, 3]) },
    } as const;
    d.nodes.push({ op: "If", domain: "", name: "if", inputs: [c], outputs: ["y"], attributes: graphs });
    return d;
  };
  assert.deepEqual(shapeOf(make("known"), "y"), [5, 3]);
  assert.deepEqual(shapeOf(make("fed"), "y"), ["", 3]);
});
test("Loop: state that grows loses that length, what is stacked gets a new axis", () => {
  const { d, g } = net([1, 3]);
  const inner = body((b, s) => {
    s.inputs.push({ name: "i", type: "int64", shape: [] }, { name: "on", type: "bool", shape: [] }, value("state"));
    const longer = b.op("Concat", ["state", "x"], { axis: 0 });
    s.outputs.push({ name: "on", type: "bool", shape: [] }, value(longer), value(b.op("Relu", ["x"])));
  });
  d.nodes.push({
    op: "Loop",
    domain: "",
    name: "loop",
    inputs: [g.constant(int64s([4], [])), "", "x"],
    outputs: ["last", "all"],
    attributes: { body: { kind: "graph", value: inner } },
  });
  assert.deepEqual(shapeOf(d, "last"), ["", 3]);
  assert.deepEqual(shapeOf(d, "all"), ["", 1, 3]);
});
test("Scan counts its body once per step", () => {
  const { d } = net([7, 2, 6]);
  const inner = body((b, s) => {
    s.inputs.push(value("state"), value("step"));
    const w = b.constant(floats(new Float32Array(36), [6, 6]));
    const next = b.op("Add", ["state", b.op("MatMul", ["step", w])]);
    s.outputs.push(value(next), value(b.op("Identity", [next])));
  });
  d.initializers.set("zero", floats(new Float32Array(12), [2, 6]));
  d.nodes.push({
    op: "Scan",
    domain: "",
    name: "scan",
    inputs: ["zero", "x"],
    outputs: ["last", "all"],
    attributes: { body: { kind: "graph", value: inner }, num_scan_inputs: { kind: "int", value: 1 } },
  });
  const found = infer(d);
  assert.deepEqual(found.types.get("all")?.shape, [7, 2, 6]);
  assert.deepEqual(found.bodies.get(inner)?.typeOf("step")?.shape, [2, 6]);
  const counted = inspect(d);
  assert.equal(counted.macs, 7 * 2 * 36);
  assert.equal(counted.parameters, 36 + 12);
});
