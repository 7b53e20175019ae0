/** What applyPlan writes, on graphs small enough to compute by hand: values, names, sharing, bodies, and refusals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kernelRuns } from "../dist/engine/ort-node-profile.js";
import { check } from "../dist/graph/check.js";
import { node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { type Draft, emptyGraph, type Graph, type Tensor } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { applyPlan } from "../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { dequantizeTensor, gridOf, quantizeTensor, weightGrid } from "../dist/quantization/grid.js";
import { kernelsOf } from "../dist/quantization/kernels.js";
import type { Grid, LayerPlan, Plan } from "../dist/quantization/plan.js";
import { decibels, layersOf, outputsOf, planOf } from "./support/planned.js";

const wave = (dims: readonly number[], seed: number, scale = 1): Tensor =>
  floats(
    Float32Array.from({ length: dims.reduce((p, d) => p * d, 1) }, (_, i) => scale * Math.sin(seed + i * 12.9898)),
    dims,
  );
const valuesOf = (t: Tensor): Float32Array => new Float32Array(t.bytes.slice().buffer);

function graphOf(
  inputs: readonly (readonly [string, readonly (number | string)[]])[],
  weights: Record<string, Tensor>,
): Draft {
  const graph = emptyGraph("made", 21);
  for (const [name, shape] of inputs) graph.inputs.push({ name, type: "float32", shape });
  for (const [name, tensor] of Object.entries(weights)) graph.initializers.set(name, tensor);
  return graph;
}
const output = (graph: Draft, name: string, shape: readonly (number | string)[] | null = null): Graph => {
  graph.outputs.push({ name, type: "float32", shape });
  return graph;
};

/** x [4 6] -> MatMul W [6 5] + b -> Relu -> Gemm V [3 5]^T + c. */
function mlp(): Graph {
  const graph = graphOf([["x", [4, 6]]], {
    W: wave([6, 5], 1),
    b: wave([5], 2),
    V: wave([3, 5], 3),
    c: wave([3], 4),
  });
  graph.nodes.push(
    node("MatMul", ["x", "W"], ["m"]),
    node("Add", ["m", "b"], ["a"]),
    node("Relu", ["a"], ["h"]),
    node("Gemm", ["h", "V", "c"], ["y"], { transB: 1 }),
  );
  return output(graph, "y", [4, 3]);
}
const x = { x: { type: "float32", dims: [4, 6], data: valuesOf(wave([4, 6], 5)) } } as const;

/** Rounds to a grid of one scale, as QuantizeLinear and DequantizeLinear do. */
const rounded = (values: Float32Array, grid: Grid): Float32Array =>
  dequantizeTensor(quantizeTensor(values, [values.length], grid));
const product = (a: Float32Array, b: Float32Array, rows: number, inner: number, columns: number): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[Math.floor(i / columns) * inner + k]! * b[k * columns + (i % columns)]!;
    return sum;
  });

test("an integer graph computes what its grids say, by hand and by onnxruntime with and without its fusions", async () => {
  const graph = mlp();
  const layers = layersOf(graph, "int8");
  assert.deepEqual([...layers.keys()], ["m", "a", "y"]);
  const activations = new Map([
    ["x", gridOf([-1, 1], "uint8")],
    ["h", gridOf([0, 4], "uint8")],
  ]);
  const quantized = applyPlan(graph, { layers, activations }, { target: "ort-node" });
  check(quantized);
  const [W, V] = (["W", "V"] as const).map((name, i) => {
    const t = graph.initializers.get(name)!;
    return dequantizeTensor(quantizeTensor(valuesOf(t), t.dims, weightGrid(valuesOf(t), t.dims, { axis: 1 - i })));
  }) as [Float32Array, Float32Array];
  const b = valuesOf(graph.initializers.get("b")!);
  const c = valuesOf(graph.initializers.get("c")!);
  const a = product(rounded(x.x.data, activations.get("x")!), W, 4, 6, 5).map((v, i) => Math.max(0, v + b[i % 5]!));
  const vt = Float32Array.from({ length: 15 }, (_, i) => V[(i % 3) * 5 + Math.floor(i / 3)]!);
  const wanted = product(rounded(a, activations.get("h")!), vt, 4, 5, 3).map((v, i) => v + c[i % 3]!);
  for (const optimize of ["none", "all"] as const) {
    const db = decibels(Float64Array.from(wanted), await outputsOf(quantized, x, optimize));
    assert.ok(db > 60, `${optimize}: ${db} dB from what the grids say`);
  }
  const { nodes } = await kernelsOf(quantized, eligibleNodes(graph, "ort-node"), layers, x);
  assert.deepEqual(
    nodes.map((n) => [n.op, n.integer]),
    [
      ["MatMul", true],
      ["Add", true],
      ["Gemm", true],
    ],
  );
});

test("products with positive constants cost nothing: they change the scale by which codes are read", async () => {
  const graph = graphOf([["x", [1, 4, 6, 6]]], {
    w: wave([4, 4, 3, 3], 1),
    v: wave([4, 4, 1, 1], 2),
    six: floats([6], []),
    half: floats([0.5], [1]),
  });
  graph.nodes.push(
    node("Conv", ["x", "w"], ["c"]),
    node("Relu", ["c"], ["r"]),
    node("Div", ["r", "six"], ["d"]),
    node("Mul", ["half", "d"], ["h"]),
    node("Conv", ["h", "v"], ["y"]),
  );
  output(graph, "y");
  const feeds = { x: { type: "float32", dims: [1, 4, 6, 6], data: valuesOf(wave([1, 4, 6, 6], 3)) } } as const;
  const plan = await planOf(graph, (n) => (n.node.op === "Conv" ? "int8" : "float"), [feeds]);
  assert.deepEqual([...plan.activations.keys()].sort(), ["h", "x", "y"]);
  const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
  check(quantized);
  assert.deepEqual(
    quantized.nodes.filter((n) => n.op === "Div" || n.op === "Mul"),
    [],
  );
  const db = decibels(await outputsOf(graph, feeds), await outputsOf(quantized, feeds));
  assert.ok(db > 35, `${db}`);
  const { kernels } = await kernelsOf(quantized, eligibleNodes(graph, "ort-node"), plan.layers, feeds);
  assert.equal(kernels.get("QLinearConv"), 2);
});

test("a weight with two readers is stored once; a float reader reads the codes too", async () => {
  const graph = graphOf([["x", [4, 16]]], { W: wave([16, 16], 1) });
  graph.nodes.push(node("MatMul", ["x", "W"], ["a"]), node("Tanh", ["a"], ["t"]), node("MatMul", ["t", "W"], ["y"]));
  output(graph, "y");
  const feeds = { x: { type: "float32", dims: [4, 16], data: valuesOf(wave([4, 16], 2)) } } as const;
  for (const first of ["int8", "weights8", "weights4", "dynamic"] as const) {
    const plan = await planOf(graph, (c) => (c.key === "a" ? first : "float"), [feeds]);
    const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
    check(quantized);
    const large = [...quantized.initializers].filter(([, t]) => t.bytes.length >= 128);
    if (first !== "weights4")
      assert.deepEqual(
        large.map(([name, t]) => [name, t.type]),
        [["W", "int8"]],
        first,
      );
    assert.ok(
      ![...quantized.initializers.values()].some((t) => t.type === "float32" && t.bytes.length === 1024),
      first,
    );
    const db = decibels(await outputsOf(graph, feeds), await outputsOf(quantized, feeds));
    assert.ok(db > (first === "weights4" ? 12 : 30), `${first}: ${db}`);
  }
});

test("an initialiser that is an input too can be replaced from outside: it is no weight", () => {
  const graph = graphOf(
    [
      ["x", [4, 16]],
      ["W", [16, 16]],
    ],
    { W: wave([16, 16], 1) },
  );
  graph.nodes.push(node("MatMul", ["x", "W"], ["y"]));
  const [only] = eligibleNodes(output(graph, "y"), "ort-node");
  assert.deepEqual(only!.weights, []);
  assert.deepEqual(only!.formats, ["int8", "int16"], "as a product of two activations");
});

test("what is quantized already, unknown, of the wrong type or too small says so", () => {
  const graph = graphOf([["x", [4, 16]]], { W: wave([16, 16], 1), s: floats([0.1], []), tiny: wave([16, 2], 2) });
  graph.inputs.push({ name: "i", type: "int64", shape: [4, 16] });
  graph.nodes.push(
    node("QuantizeLinear", ["x", "s"], ["q"]),
    node("DequantizeLinear", ["q", "s"], ["d"]),
    node("NoSuch", ["d"], ["n"], {}, "my.domain"),
    node("Add", ["i", "i"], ["ii"]),
    node("MatMul", ["x", "tiny"], ["y"]),
  );
  graph.opsets.set("my.domain", 1);
  const why = Object.fromEntries(eligibleNodes(output(graph, "y"), "ort-web-webgpu").map((c) => [c.key, c.why]));
  assert.match(why.q!, /quantized already/);
  assert.match(why.n!, /does not know the operator my.domain.NoSuch/);
  assert.match(why.ii!, /WebGPU/);
  assert.match(why.y!, /too small/);
  const here = Object.fromEntries(eligibleNodes(graph, "ort-node").map((c) => [c.key, c]));
  assert.match(here.ii!.why, /its input 0 is int64/);
  assert.deepEqual(here.ii!.formats, []);
  assert.deepEqual(here.y!.formats, ["int8", "int16"]);
});

test("a plan that cannot be followed is refused in words", () => {
  const graph = mlp();
  const layer = (format: LayerPlan["format"]): LayerPlan => ({ format, reason: "", weights: new Map() });
  const plan = (key: string, format: LayerPlan["format"]): Plan => ({
    layers: new Map([[key, layer(format)]]),
    activations: new Map(),
  });
  const apply = (p: Plan, g = graph) => applyPlan(g, p, { target: "ort-node" });
  assert.throws(() => apply(plan("nowhere", "int8")), /names "nowhere", which no node/);
  assert.throws(() => apply(plan("m", "int8")), /no grid for "x"/);
  assert.throws(() => apply(plan("a", "weights8")), /Add "a" cannot be weights8/);
  assert.throws(
    () => apply(plan("y", "weights8"), { ...graph, opsets: new Map([["", 11]]) }),
    /needs opset 13 or later, the model is at 11/,
  );
  const large = graphOf([["x", [4, 16]]], { W: wave([16, 16], 1) });
  large.nodes.push(node("MatMul", ["x", "W"], ["y"]));
  output(large, "y");
  const wrong = quantizeTensor(new Float32Array(4), [2, 2], gridOf([0, 1], "int8"));
  const layers = new Map([["y", { ...layer("weights8"), weights: new Map([[1, wrong]]) }]]);
  const follow = () => apply({ layers, activations: new Map() }, large);
  assert.throws(follow, /the plan's weight is \[2,2\], the model's "W" \[16,16\]/);
});

test("a bias far larger than its weights still fits int32: the scale gives way", async () => {
  const graph = graphOf([["x", [2, 8]]], { W: wave([8, 8], 1, 1e-9), b: floats(new Float32Array(8).fill(1e3), [8]) });
  graph.nodes.push(node("Gemm", ["x", "W", "b"], ["y"]));
  output(graph, "y", [2, 8]);
  const feeds = { x: { type: "float32", dims: [2, 8], data: valuesOf(wave([2, 8], 2)) } } as const;
  const plan = await planOf(graph, "int8", [feeds]);
  const quantized = applyPlan(graph, plan, { target: "ort-node" });
  const db = decibels(await outputsOf(graph, feeds), await outputsOf(quantized, feeds));
  assert.ok(db > 60, `${db}`);
});

test("blocks that do not divide their axis, in 4 bits with and without zero points", async () => {
  const graph = graphOf([["x", [3, 50]]], { W: wave([50, 8], 1) });
  graph.nodes.push(node("MatMul", ["x", "W"], ["y"]));
  output(graph, "y", [3, 8]);
  const feeds = { x: { type: "float32", dims: [3, 50], data: valuesOf(wave([3, 50], 2)) } } as const;
  const values = valuesOf(graph.initializers.get("W")!);
  for (const target of ["ort-node", "pare"] as const)
    for (const type of ["int4", "uint4", "int8"] as const)
      for (const [axis, block] of [
        [0, 16],
        [0, 20],
        [1, 3],
        [1, null],
      ] as const) {
        const q = quantizeTensor(values, [50, 8], weightGrid(values, [50, 8], { type, axis, block }));
        const layer: LayerPlan = {
          format: type === "int8" ? "weights8" : "weights4",
          reason: "",
          weights: new Map([[1, q]]),
        };
        const plan = { layers: new Map([["y", layer]]), activations: new Map() };
        const quantized = applyPlan(graph, plan, { target });
        const wanted = product(feeds.x.data, dequantizeTensor(q), 3, 50, 8);
        const db = decibels(Float64Array.from(wanted), await outputsOf(quantized, feeds));
        assert.ok(db > 90, `${target} ${type} axis ${axis} block ${block}: ${db}`);
      }
});

test("a body reads weights and values of the graph around it; its own copies are rounded there", async () => {
  const condition = { name: "c", type: "bool", shape: [] } as const;
  const graph = graphOf([["x", [4, 16]]], { W: wave([16, 16], 1), V: wave([16, 16], 2) });
  graph.inputs.push(condition);
  const branch = (name: string, weight: string): Graph => {
    const body = emptyGraph(name, 21);
    body.nodes.push(node("MatMul", ["a", weight], [`${name}_m`]), node("Tanh", [`${name}_m`], [`${name}_y`]));
    return output(body, `${name}_y`, [4, 16]);
  };
  graph.nodes.push(node("MatMul", ["x", "W"], ["a"]), {
    ...node("If", ["c"], ["y"]),
    attributes: {
      then_branch: { kind: "graph", value: branch("then", "V") },
      else_branch: { kind: "graph", value: branch("else", "W") },
    },
  });
  output(graph, "y", [4, 16]);
  check(graph);
  for (const format of ["int8", "weights8", "dynamic", "float16"] as const) {
    for (const yes of [0, 1]) {
      const c = { type: "bool", dims: [], data: Uint8Array.of(yes) } as const;
      const feeds = { x: { type: "float32", dims: [4, 16], data: valuesOf(wave([4, 16], 3)) }, c } as const;
      const plan = await planOf(graph, format, [feeds]);
      assert.equal(plan.layers.size, 3);
      const before = toBytes(graph);
      const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
      assert.deepEqual(toBytes(graph), before);
      check(quantized);
      const db = decibels(await outputsOf(graph, feeds), await outputsOf(quantized, feeds));
      assert.ok(db > 25, `${format} ${yes}: ${db}`);
    }
  }
});

test("what onnxruntime computes in one float kernel is left together; the opset is as low as the nodes allow", async () => {
  const graph = graphOf([["x", [4, 16]]], {
    W: wave([16, 16], 1),
    V: wave([16, 16], 2),
    root: floats([Math.SQRT2], []),
    one: floats([1], []),
    half: floats([0.5], []),
  });
  graph.nodes.push(
    node("MatMul", ["x", "W"], ["a"]),
    node("Div", ["a", "root"], ["d"]),
    node("Erf", ["d"], ["e"]),
    node("Add", ["e", "one"], ["p"]),
    node("Mul", ["a", "p"], ["m"]),
    node("Mul", ["m", "half"], ["g"]),
    node("MatMul", ["g", "V"], ["y"]),
  );
  output(graph, "y", [4, 16]);
  const feeds = { x: { type: "float32", dims: [4, 16], data: valuesOf(wave([4, 16], 3)) } } as const;
  const plan = await planOf(graph, "int8", [feeds]);
  assert.deepEqual([...plan.layers.keys()], ["a", "y"]);
  assert.match(
    eligibleNodes(graph, "ort-node").find((c) => c.key === "m")!.why,
    /the Gelu that it belongs to in one float kernel/,
  );
  const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
  assert.equal(quantized.opsets.get(""), 14);
  assert.equal(quantized.irVersion, 7);
  const { kernels } = await kernelsOf(quantized, eligibleNodes(graph, "ort-node"), plan.layers, feeds);
  assert.equal(kernels.get("Gelu"), 1, "the group is still one kernel");
  assert.equal(
    applyPlan(graph, { ...plan, layers: layersOf(graph, "weights4") }, { target: "ort-node" }).opsets.get(""),
    14,
    "MatMulNBits needs no 4-bit type",
  );
  assert.equal(
    applyPlan(graph, { ...plan, layers: layersOf(graph, "weights4") }, { target: "pare" }).opsets.get(""),
    21,
  );
});

test("behind a float convolution a pool stays float: rounding comes after it, and onnxruntime leaves it there", async () => {
  const graph = graphOf([["x", [1, 4, 12, 12]]], { w: wave([8, 4, 3, 3], 1), v: wave([8, 8, 3, 3], 2) });
  graph.nodes.push(
    node("Conv", ["x", "w"], ["c"]),
    node("Relu", ["c"], ["r"]),
    node("MaxPool", ["r"], ["p"], { kernel_shape: [2, 2], strides: [2, 2] }),
    node("Conv", ["p", "v"], ["y"]),
  );
  output(graph, "y", [1, 8, 3, 3]);
  const feeds = { x: { type: "float32", dims: [1, 4, 12, 12], data: valuesOf(wave([1, 4, 12, 12], 3)) } } as const;
  const inputOf = async (key: string) => {
    const plan = await planOf(graph, (c) => (c.key === key || key === "" ? "int8" : "float"), [feeds]);
    const quantized = applyPlan(graph, plan, { target: "ort-node", reduced: true });
    const runs = await kernelRuns(quantized, feeds);
    assert.equal(runs.filter((r) => r.kernel === "QLinearConv").length, plan.layers.size);
    return runs.find((r) => r.kernel.includes("MaxPool"))!.inputs[0];
  };
  assert.equal(await inputOf("y"), "float");
  assert.equal(await inputOf(""), "uint8", "between integer convolutions it works on codes");
});
