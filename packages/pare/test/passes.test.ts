/** Passes that compute the same thing: what each changes, that it leaves its input alone, and that onnxruntime finds the same outputs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../dist/graph/check.js";
import { fromBytes } from "../dist/graph/decode.js";
import { node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { PareError } from "../dist/graph/error.js";
import { read } from "../dist/graph/file.js";
import type { FunctionDefinition, Graph, Node, Subgraph } from "../dist/graph/graph.js";
import { draft, emptyGraph, feeds as feedsOf } from "../dist/graph/graph.js";
import { print } from "../dist/graph/print.js";
import { bodiesOf } from "../dist/graph/scope.js";
import { floats, int64s } from "../dist/graph/tensor.js";
import { recordOf } from "../dist/ops/registry.js";
import { dropDeadNodes } from "../dist/passes/drop-dead-nodes.js";
import { dropInitializerInputs } from "../dist/passes/drop-initializer-inputs.js";
import { liftConstants } from "../dist/passes/lift-constants.js";
import { raiseOpset } from "../dist/passes/raise-opset.js";
import { type Case, conformance } from "./support/conformance.js";
import { branching, calling, looping } from "./support/hand-made.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { type Output, ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { randomFeeds } from "./support/random-feeds.js";
import { assertSame } from "./support/same.js";
import { needsShared, sharedData } from "./support/shared.js";
import { ramp, sumOf } from "./support/small-graph.js";

const nodesOf = (graph: Subgraph): Node[] => graph.nodes.flatMap((n) => [n, ...bodiesOf(n).flatMap(nodesOf)]);

test("Constant nodes become initialisers of the same names, whatever they hold, in bodies too", () => {
  const graph = sumOf({});
  graph.nodes = [
    node("Constant", [], ["t"], { value: { kind: "tensor", value: floats([1, 2], [2]) } }),
    node("Constant", [], ["f"], { value_float: { float: 2 } }),
    node("Constant", [], ["fs"], { value_floats: { floats: [3, 4] } }),
    node("Constant", [], ["i"], { value_int: 5 }),
    node("Constant", [], ["is"], { value_ints: [6, 7] }),
    node("Constant", [], ["s"], { value_string: "a" }),
    node("Constant", [], ["ss"], { value_strings: ["b", "c"] }),
    ...graph.nodes,
    node("Constant", [], ["out"], { value_int: 1 }),
  ];
  graph.outputs.push({ name: "out", type: "int64", shape: [] });
  const before = print(graph);
  const lifted = liftConstants(graph);
  check(lifted);
  assert.equal(print(graph), before);
  assert.deepEqual(
    [...lifted.initializers].map(([name, t]) => [name, t.type, t.dims, [...t.bytes].length, t.strings?.length]),
    [
      ["t", "float32", [2], 8, undefined],
      ["f", "float32", [], 4, undefined],
      ["fs", "float32", [2], 8, undefined],
      ["i", "int64", [], 8, undefined],
      ["is", "int64", [2], 16, undefined],
      ["s", "string", [], 0, 1],
      ["ss", "string", [2], 0, 2],
    ],
  );
  assert.deepEqual(
    lifted.nodes.map((n) => n.op),
    ["Identity", "Constant"],
    "a graph output stays a node",
  );
  assert.equal(liftConstants(lifted), lifted);
  assert.ok(!nodesOf(liftConstants(branching())).some((n) => n.op === "Constant"));
});

test("initialisers leave the inputs", () => {
  const graph = sumOf({ w: ramp(4) });
  graph.irVersion = 3;
  graph.inputs.push({ name: "w", type: "float32", shape: [4] });
  const dropped = dropInitializerInputs(graph);
  assert.deepEqual(
    dropped.inputs.map((v) => v.name),
    ["x"],
  );
  assert.equal(dropped.irVersion, 4);
  assert.equal(graph.inputs.length, 2);
  assert.equal(dropInitializerInputs(dropped), dropped);
});

test("what no output needs goes: nodes, initialisers, notes; in bodies too", () => {
  const graph = branching() as ReturnType<typeof sumOf>;
  graph.initializers.set("unused", ramp(3));
  graph.initializers.set("via", ramp(1));
  graph.nodes.push(node("Relu", ["via"], ["dead"]), node("Relu", ["dead"], ["deader"]));
  graph.values.set("dead", { name: "dead", type: "float32", shape: [1] });
  const position = graph.nodes.findIndex((n) => n.op === "If");
  const branch = graph.nodes[position]!;
  const then_branch = branch.attributes.then_branch!;
  assert.equal(then_branch.kind, "graph");
  if (then_branch.kind !== "graph") return;
  const value = { ...then_branch.value, nodes: [...then_branch.value.nodes, node("Relu", ["positive"], ["waste"])] };
  graph.nodes[position] = { ...branch, attributes: { ...branch.attributes, then_branch: { kind: "graph", value } } };
  const live = dropDeadNodes(graph);
  check(live);
  assert.deepEqual([...live.initializers.keys()], []);
  assert.equal(live.values.size, 0);
  assert.deepEqual(live.inputs, graph.inputs);
  assert.deepEqual(
    nodesOf(live)
      .map((n) => n.op)
      .sort(),
    ["Add", "Constant", "Greater", "If", "Mul", "ReduceSum"],
  );
  assert.equal(dropDeadNodes(live), live);
  const captured = branching();
  assert.equal(dropDeadNodes(captured), captured, "what only a body reads is alive");
});

const values = (o: Output): number[] => {
  const buffer = (o.bits as Uint8Array).slice().buffer;
  if (o.type === "float32") return [...new Float32Array(buffer)];
  if (o.type === "float64") return [...new Float64Array(buffer)];
  return [...new Uint16Array(buffer)].map((h) => {
    const [e, m] = [(h >> 10) & 31, h & 1023];
    const size =
      e === 0 ? m * 2 ** -24 : e === 31 ? (m ? Number.NaN : Number.POSITIVE_INFINITY) : (1 + m / 1024) * 2 ** (e - 15);
    return h & 0x8000 ? -size : size;
  });
};
/** Relative to the largest value: other forms of an operator round otherwise. */
const tolerance: Readonly<Record<string, number>> = { float32: 2e-6, float64: 1e-12, float16: 2e-3 };
function assertClose(actual: Record<string, Output>, expected: Record<string, Output>, what: string): void {
  assert.deepEqual(Object.keys(actual), Object.keys(expected), what);
  for (const [name, e] of Object.entries(expected)) {
    const a = actual[name]!;
    const within = tolerance[e.type];
    if (within === undefined) assertSame(a, e, `${what}, ${name}`);
    else {
      assert.deepEqual([a.type, a.dims], [e.type, e.dims], `${what}, ${name}`);
      const [x, y] = [values(a), values(e)];
      const largest = y.reduce((m, v) => (Number.isFinite(v) ? Math.max(m, Math.abs(v)) : m), 0);
      y.forEach((v, i) => {
        const same = Object.is(x[i], v) || x[i] === v || Math.abs(x[i]! - v) <= within * largest;
        assert.ok(same, `${what}, ${name}[${i}]: ${x[i]} instead of ${v}`);
      });
    }
  }
}

test("every real model at opset 17 and 21 gives the outputs that it gave before", async (t) => {
  const models = [...packagedModels(), ...sharedModels()];
  if (!sharedData) t.diagnostic(`only the packaged models: ${needsShared}`);
  for (const model of models) {
    const graph = await read(model.path);
    if (model.name === "super_resolution") continue; // onnxruntime does not load the original.
    const feeds = Object.fromEntries(Object.entries(randomFeeds(model, graph)).map(([k, v]) => [k, ortTensor(v)]));
    const wanted = await ortOutputs(toBytes(graph), feeds, "disabled");
    for (const to of [17, 21].filter((opset) => opset >= (graph.opsets.get("") ?? 1))) {
      const raised = raiseOpset(graph, to);
      check(raised);
      assert.equal(raised.opsets.get(""), to);
      assert.equal(raised.irVersion, Math.max(graph.irVersion, to === 17 ? 8 : 10));
      assert.deepEqual(raised.outputs, graph.outputs);
      assertClose(await ortOutputs(toBytes(raised), feeds, "disabled"), wanted, `${model.name} at opset ${to}`);
    }
  }
});

/** Against the outputs that a test comes with, computed elsewhere: 1e-3, as the ONNX project compares. */
function assertExpected(actual: Record<string, Output>, expected: Case["outputs"], graph: Graph, what: string): void {
  graph.outputs.forEach((v, k) => {
    const e = expected[k];
    const a = actual[v.name];
    assert.ok(e && a, `${what}, ${v.name}`);
    assert.deepEqual([a.type, a.dims], [e.type, e.dims], what);
    if (!(e.type in tolerance)) {
      assertSame(a.bits, e.bytes, what);
      return;
    }
    const [x, y] = [values(a), values({ type: e.type, dims: e.dims, bits: e.bytes })];
    y.forEach((value, i) => {
      assert.ok(
        Object.is(x[i], value) || Math.abs(x[i]! - value) <= 1e-7 + 1e-3 * Math.abs(value),
        `${what}: ${x[i]} instead of ${value}`,
      );
    });
  });
}

/** Refused by their records, with these words. */
const noNewerForm: Readonly<Record<string, RegExp>> = {
  test_scan_sum: /Scan of opset 8 runs over a batch of sequences/,
  test_upsample_nearest: /its scales should be known before running/,
};
const known = (graph: Graph): boolean => nodesOf(graph).every((n) => n.domain !== "" || recordOf(n));

test("every conformance test below opset 21 whose operators Pare knows, raised", {
  skip: sharedData ? false : needsShared,
}, async () => {
  let count = 0;
  for (const suite of ["node", "pytorch"] as const)
    for (const c of conformance(suite)) {
      const graph = fromBytes(c.model);
      if ((graph.opsets.get("") ?? 21) >= 21 || !known(graph) || (suite === "node" && c.status !== "pass")) continue;
      const refused = noNewerForm[c.name];
      if (refused) {
        assert.throws(() => raiseOpset(graph), refused);
        continue;
      }
      const feeds = Object.fromEntries(
        feedsOf(graph).flatMap((v, i) => (c.inputs[i] ? [[v.name, ortTensor(c.inputs[i])] as const] : [])),
      );
      const raised = raiseOpset(graph);
      check(raised);
      const ours = () => ortOutputs(toBytes(raised), feeds, "disabled");
      const original = await ortOutputs(c.model, feeds, "disabled").catch(() => null);
      if (original) assertClose(await ours(), original, c.name);
      // onnxruntime has forgotten some operators of before opset 7: there the test itself says what is right.
      else if (graph.nodes.some((n) => n.domain !== "")) await assert.rejects(ours(), /ai\.onnx\.preview\.training/);
      else assertExpected(await ours(), c.outputs, graph, c.name);
      count++;
    }
  assert.ok(count > 700, `only ${count}`);
});

test("operators whose form changed after opset 17 keep the form of the opset that is asked for", async () => {
  const graph = emptyGraph("reductions", 11);
  graph.irVersion = 6;
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 4, 3] });
  graph.nodes = [
    node("ReduceMax", ["x"], ["m"], { axes: [2], keepdims: 1 }),
    node("Add", ["x", "m"], ["s"]),
    node("ReduceSum", ["s"], ["r"], { axes: [2], keepdims: 0 }),
    node("Split", ["r"], ["a", "b"], { axis: 1 }),
    node("Sub", ["a", "b"], ["y"]),
  ];
  graph.outputs.push({ name: "y", type: "float32", shape: ["n", 2] });
  const feeds = {
    x: ortTensor(
      floats(
        Float32Array.from({ length: 24 }, (_, i) => Math.sin(i * i)),
        [2, 4, 3],
      ),
    ),
  };
  const wanted = await ortOutputs(toBytes(graph), feeds, "disabled");
  for (const to of [17, 18, 19, 20, 21]) {
    const raised = raiseOpset(graph, to);
    check(raised);
    const [max, , sum, split] = raised.nodes;
    assert.deepEqual([max!.inputs.length, "axes" in max!.attributes], to < 18 ? [1, true] : [2, false], `${to}`);
    assert.equal(sum!.inputs.length, 2);
    assert.equal("num_outputs" in split!.attributes, to >= 18);
    assertClose(await ortOutputs(toBytes(raised), feeds, "disabled"), wanted, `at opset ${to}`);
  }
  assert.throws(() => raiseOpset(graph, 16), /opset 16: models are raised to opset 17 to 21/);
  assert.throws(() => raiseOpset(graph, 22), /opset 22: models are raised to opset 17 to 21/);
  assert.throws(() => raiseOpset(graph, 18.5), /opset 18.5/);
});

test("functions are written out where they are called, before their model is raised", async () => {
  const graph = draft(calling());
  const [scale, twice] = graph.functions as [FunctionDefinition, FunctionDefinition];
  const centred: FunctionDefinition = {
    ...twice,
    name: "Centred",
    attributes: ["axes"],
    nodes: [
      node("ReduceMean", ["a"], ["m"], {
        axes: { kind: "ref", value: "axes", proto: { refAttrName: "axes", type: 7 } },
      }),
      node("Sub", ["a", "m"], ["c"]),
      node("Twice", ["c"], ["b"], {}, "own"),
    ],
  };
  graph.functions = [scale, twice, centred];
  graph.nodes = [
    node("Centred", ["x"], ["m"], { axes: [0] }, "own"),
    node("Twice", ["m"], ["t"], {}, "own"),
    node("Add", ["t", "m"], ["y"]),
  ];
  check(graph);
  const feeds = { x: ortTensor(floats([1, 2, 5, -4], [4])) };
  const wanted = await ortOutputs(toBytes(graph), feeds, "disabled");
  for (const to of [17, 18, 21]) {
    const raised = raiseOpset(graph, to);
    check(raised);
    assert.equal(raised.opsets.get(""), to);
    assert.equal(raised.functions.length, to === 17 ? 3 : 0);
    assertClose(await ortOutputs(toBytes(raised), feeds, "disabled"), wanted, `at opset ${to}`);
  }
  const mixed = { ...graph, functions: [{ ...scale, opsets: new Map([["", 16]]) }, twice, centred] };
  assert.throws(() => raiseOpset(mixed), /function "Scale" is of opset 16 in a model of opset 17/);
});

test("operators without a record are named; newer models and functions come through", () => {
  const graph = sumOf({});
  graph.nodes.unshift(node("Nonsense", ["x"], ["a"]), node("Folly", ["x"], ["b"]), node("Nonsense", ["x"], ["c"]));
  assert.throws(
    () => raiseOpset(graph),
    new PareError("cannot raise the model from opset 17 to 21: Pare does not know Folly, Nonsense"),
  );
  const newer = sumOf({});
  newer.opsets.set("", 22);
  assert.equal(raiseOpset(newer), newer);
  for (const g of [calling(), looping(), branching()]) check(raiseOpset(g));
});

test("print shows one line per node, with shapes, bytes, bodies and functions", () => {
  const graph = sumOf({ w: ramp(1000) });
  assert.equal(
    print(graph),
    `graph "sum": IR 8, onnx 17, 2 nodes, 1 initialiser of 4.0 KB
  input x [n]
  Add "after w" x [n], w [1000] -> "after w"  4.0 KB
  Identity "y" "after w" -> y [...]
  output y [...]
`,
  );
  const facts = new Map([["after w", { type: "float32" as const, shape: [1000] }]]);
  assert.match(print(graph, facts), /Identity "y" "after w" \[1000\] -> y/);
  assert.match(
    print(branching()),
    /If "y" positive -> y \[n\]\n {4}body "Add"\n {6}Add "Add_y" x \[n\], Add_c \[1\] -> Add_y \[n\] {2}4 B/,
  );
  assert.match(print(calling()), /function "own\.Scale"|function own\.Scale: 2 nodes/);
  const odd = {
    ...graph,
    nodes: [node("Relu", ["", "x"], ["y"], {}, "com.other", "a\nb")],
    outputs: [{ name: "y", type: "int64" as const, shape: [1, "", "h"] }],
  };
  assert.match(print(odd), /com\.other\.Relu "a\\nb" -, x \[n\] -> y int64\[1,\?,h\]/);
});

test("int64 attributes beyond 2^53 and values of every kind survive", () => {
  const graph = sumOf({ shape: int64s([2n ** 60n]) });
  assert.deepEqual(
    [...fromBytes(toBytes(graph)).initializers.get("shape")!.bytes],
    [...graph.initializers.get("shape")!.bytes],
  );
});
