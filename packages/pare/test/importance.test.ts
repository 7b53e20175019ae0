/** Importance measures from the outside: against closed forms, counting, and finite differences in double precision. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { couple } from "../dist/analyze/couple.js";
import { groupsOf } from "../dist/analyze/groups.js";
import { layersOf } from "../dist/analyze/layers.js";
import type { Dataset } from "../dist/data/dataset.js";
import { fromArrays } from "../dist/data/from-table.js";
import { Random } from "../dist/data/random.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { type AttributeValue, Emitter, node } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats, sizeOf } from "../dist/graph/tensor.js";
import { channelScores } from "../dist/importance/channel-scores.js";
import { empiricalFisher, trueFisher } from "../dist/importance/fisher.js";
import { importance, measureNames } from "../dist/importance/importance.js";
import { synapses } from "../dist/importance/mas.js";
import type { Question } from "../dist/importance/measure.js";
import { hessianDiagonal } from "../dist/importance/obd.js";
import { placeIn, unrolled } from "../dist/importance/unroll.js";
import { network } from "../dist/methods/architecture/networks.js";
import { recordOf } from "../dist/ops/registry.js";
import { siteOf } from "../dist/ops/site.js";
import { blobs } from "./support/blobs.js";
import { run } from "./support/cut-proof.js";
import { randomFrom } from "./support/expose.js";

const ask = (graph: Graph, names: readonly string[], data: Dataset, samples = data.length): Question => ({
  graph,
  names,
  data,
  samples,
  seed: 0,
  path: null,
  engine: ortNode,
});
const close = (a: number, b: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b), 1e-12), `${what}: ${a} against ${b}`);
const ramp = (n: number, seed: number, scale = 1): Float64Array => {
  const random = randomFrom(seed);
  return Float64Array.from({ length: n }, () => scale * (2 * random() - 1));
};

test("OBD: the Hessian's diagonal is that of central differences, for 1,000 weights in double precision", async (t) => {
  const [inputs, hidden, classes, samples] = [24, 36, 5, 6];
  const [w1, b1, w2, b2] = [
    ramp(inputs * hidden, 1, 0.6),
    ramp(hidden, 2, 0.2),
    ramp(hidden * classes, 3, 0.8),
    ramp(classes, 4, 0.2),
  ];
  const x = ramp(samples * inputs, 5);
  const labels = Int32Array.from({ length: samples }, (_, i) => i % classes);
  const loss = (): number => {
    let sum = 0;
    for (let s = 0; s < samples; s++) {
      const h = Array.from({ length: hidden }, (_, j) => {
        let a = b1[j]!;
        for (let i = 0; i < inputs; i++) a += x[s * inputs + i]! * w1[i * hidden + j]!;
        return Math.tanh(a);
      });
      const z = Array.from({ length: classes }, (_, k) => h.reduce((a, v, j) => a + v * w2[j * classes + k]!, b2[k]!));
      sum += Math.log(z.reduce((a, v) => a + Math.exp(v), 0)) - z[labels[s]!]!;
    }
    return sum / samples;
  };
  const graph: Draft = emptyGraph("toy", 21);
  const double = (values: Float64Array, dims: number[]) => ({
    type: "float64" as const,
    dims,
    bytes: new Uint8Array(values.slice().buffer),
  });
  graph.inputs.push({ name: "x", type: "float64", shape: ["n", inputs] });
  const all = {
    w1: [w1, [inputs, hidden]],
    b1: [b1, [hidden]],
    w2: [w2, [hidden, classes]],
    b2: [b2, [classes]],
  } as const;
  for (const [name, [values, dims]] of Object.entries(all)) graph.initializers.set(name, double(values, [...dims]));
  graph.nodes.push(
    node("Gemm", ["x", "w1", "b1"], ["a"]),
    node("Tanh", ["a"], ["h"]),
    node("Gemm", ["h", "w2", "b2"], ["z"]),
  );
  graph.outputs.push({ name: "z", type: "float64", shape: ["n", classes] });
  const data: Dataset = {
    name: "toy",
    length: samples,
    classes,
    fields: [{ name: "x", type: "float64", dims: [inputs] }],
    batch: () => ({ inputs: [{ type: "float64", dims: [samples, inputs], data: x }], labels }),
  };
  const diagonal = await hessianDiagonal(ask(graph, Object.keys(all), data));
  const base = loss();
  let [count, worst] = [0, 0];
  for (const [name, [values]] of Object.entries(all)) {
    const found = diagonal.get(name)!;
    const top = found.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    for (let i = 0; i < values.length; i++, count++) {
      const [w, step] = [values[i]!, 5e-3];
      const at = (k: number): number => {
        values[i] = w + k * step;
        return loss();
      };
      // Central differences of fourth order.
      const expected = (16 * (at(1) + at(-1)) - at(2) - at(-2) - 30 * base) / (12 * step ** 2);
      values[i] = w;
      worst = Math.max(worst, Math.abs(found[i]! - expected) / Math.max(Math.abs(expected), 0.01 * top));
    }
  }
  t.diagnostic(`${count} weights, worst relative error ${worst.toExponential(1)}`);
  assert.ok(count >= 1000 && worst < 1e-5, `${count} weights, ${worst}`);
});

/** Logits (0, w x + b): a logistic model of three parameters. */
function logistic(w: readonly number[], b: number): Graph {
  const graph = emptyGraph("logistic", 21);
  graph.inputs.push({ name: "x", type: "float32", shape: ["n", 2] });
  graph.initializers.set("w", floats(w, [2, 1]));
  graph.initializers.set("b", floats([b], [1]));
  graph.initializers.set("pair", floats([0, 1], [1, 2]));
  graph.nodes.push(node("Gemm", ["x", "w", "b"], ["t"]), node("MatMul", ["t", "pair"], ["z"]));
  graph.outputs.push({ name: "z", type: "float32", shape: ["n", 2] });
  return graph;
}
const points = (samples: number): { data: Dataset; x: Float32Array; y: Int32Array } => {
  const random = new Random(9);
  const x = Float32Array.from({ length: 2 * samples }, () => 2 * random.uniform() - 1);
  const y = Int32Array.from({ length: samples }, () => (random.uniform() < 0.4 ? 1 : 0));
  return { data: fromArrays({ name: "points", x, dims: [2], y, classes: 2 }), x, y };
};

test("Fisher, empirical Fisher, SNIP and Taylor are the closed forms of a logistic model", async () => {
  const [w, b, samples] = [[0.8, -1.3], 0.3, 3000];
  const { data, x, y } = points(samples);
  const graph = logistic(w, b);
  const p = (s: number): number => 1 / (1 + Math.exp(-(w[0]! * x[2 * s]! + w[1]! * x[2 * s + 1]! + b)));
  const mean = (f: (s: number) => number): number => {
    let sum = 0;
    for (let s = 0; s < samples; s++) sum += f(s) / samples;
    return sum;
  };
  const input = (s: number, i: number): number => (i < 2 ? x[2 * s + i]! : 1);
  const question = ask(graph, ["w", "b"], data);
  const flat = (scores: ReadonlyMap<string, Float32Array>): number[] => [...scores.get("w")!, ...scores.get("b")!];
  const [drawn, observed] = [flat(await trueFisher(question)), flat(await empiricalFisher(question))];
  const taylor = flat(await importance(graph, data, "taylor", { names: ["w", "b"], samples }));
  const snip = flat(await importance(graph, data, "snip", { names: ["w", "b"], samples }));
  const first = [0, 1, 2].map((i) => Math.abs(mean((s) => (p(s) - y[s]!) * input(s, i)) * [...w, b][i]!));
  for (let i = 0; i < 3; i++) {
    close(
      observed[i]!,
      mean((s) => ((p(s) - y[s]!) * input(s, i)) ** 2),
      1e-4,
      `empirical Fisher ${i}`,
    );
    // One random sign vector per sample.
    close(
      drawn[i]!,
      mean((s) => p(s) * (1 - p(s)) * input(s, i) ** 2),
      0.05,
      `Fisher ${i}`,
    );
    close(
      taylor[i]!,
      mean((s) => Math.abs((p(s) - y[s]!) * input(s, i) * [...w, b][i]!)),
      1e-4,
      `Taylor ${i}`,
    );
    close(snip[i]!, first[i]! / first.reduce((a, v) => a + v), 1e-3, `SNIP ${i}`);
  }
  const omega = flat(await synapses(question));
  const z = (s: number): number => w[0]! * x[2 * s]! + w[1]! * x[2 * s + 1]! + b;
  for (let i = 0; i < 3; i++)
    close(
      omega[i]!,
      mean((s) => Math.abs(2 * z(s) * input(s, i))),
      1e-4,
      `MAS ${i}`,
    );
});

test("APoZ is what counting says; a channel that never fires scores 0", async () => {
  const graph = draft(network("cnn-small", { seed: 2 }));
  const bias = graph.nodes.find((n) => n.op === "Conv")!.inputs[2]!;
  const dead = float32sOf(graph.initializers.get(bias)!).slice();
  dead[1] = -100;
  graph.initializers.set(bias, floats(dead, [dead.length]));
  const data = blobs(40, [1, 28, 28], 1);
  const scores = await importance(graph, data, "apoz", { samples: 40 });
  const { inputs } = data.batch(Array.from({ length: 40 }, (_, i) => i));
  for (const layer of layersOf(graph).slice(0, 2)) {
    const relu = graph.nodes.find((n) => n.inputs[0] === layer.node.outputs[0])!;
    assert.equal(relu.op, "Relu");
    const values = (
      await run(
        { ...graph, outputs: [{ name: relu.outputs[0]!, type: "float32", shape: null }] },
        { [graph.inputs[0]!.name]: inputs[0]! },
      )
    )[relu.outputs[0]!]!;
    const [n, c] = values.dims as [number, number];
    const inner = values.data.length / n / c;
    const own = scores.get(layer.weight)!;
    for (let k = 0; k < c; k++) {
      let alive = 0;
      for (let i = 0; i < values.data.length; i++) if (Math.floor(i / inner) % c === k && values.data[i] !== 0) alive++;
      close(own[k * (own.length / c)]!, alive / n / inner, 1e-6, `${layer.weight} channel ${k}`);
    }
  }
  const conv = layersOf(graph)[0]!;
  assert.equal(scores.get(conv.weight)![sizeOf(conv.dims.slice(1))], 0);
});

const layerCases: readonly [string, string, number[], number[], Record<string, AttributeValue>][] = [
  ["Conv with pads and strides", "Conv", [2, 3, 7, 6], [4, 3, 3, 2], { pads: [1, 0, 2, 1], strides: [2, 1] }],
  ["grouped, dilated Conv", "Conv", [2, 4, 9, 9], [6, 2, 3, 3], { group: 2, dilations: [2, 1] }],
  ["depthwise Conv of one axis", "Conv", [3, 4, 8], [4, 1, 3], { group: 4, auto_pad: "SAME_UPPER" }],
  ["Gemm", "Gemm", [5, 3], [3, 4], {}],
  ["Gemm, transposed", "Gemm", [3, 5], [4, 3], { transA: 1, transB: 1 }],
  ["MatMul", "MatMul", [2, 3, 4], [4, 5], {}],
];
for (const [name, op, x, w, attributes] of layerCases)
  test(`${name} is its weight times its columns, and Wanda |w| times their norm`, async () => {
    const graph = emptyGraph("layer", 21);
    graph.inputs.push({ name: "x", type: "float32", shape: x });
    graph.initializers.set("w", floats(Float32Array.from(ramp(sizeOf(w), 1)), w));
    graph.nodes.push(node(op, ["x", "w"], ["y"], attributes));
    graph.outputs.push({ name: "y", type: "float32", shape: null });
    const [layer] = layersOf(graph);
    const out = draft(graph);
    const [u, g] = [unrolled(layer!)!, new Emitter(out)];
    const [xName, yName] = [u.x(g, "x", 1), u.y(g, "y", 1)] as const;
    out.outputs = [xName, yName].map((name) => ({ name, type: "float32", shape: null }));
    const data = Float32Array.from(ramp(sizeOf(x), 2));
    const results = await run(out, { x: { type: "float32", dims: x, data } });
    const [columns, rows] = [results[xName]!, results[yName]!];
    const n = columns.dims[2]!;
    assert.deepEqual([...columns.dims], [u.groups, u.inputs, n]);
    assert.deepEqual([...rows.dims], [u.groups, u.outputs, n]);
    const values = float32sOf(graph.initializers.get("w")!);
    const samples = fromArrays({ name: "x", x: data, dims: x.slice(1), y: new Int32Array(x[0]!), classes: 2 });
    const wanda = attributes.transA ? null : (await importance(graph, samples, "wanda")).get("w")!;
    for (let g = 0; g < u.groups; g++)
      for (let o = 0; o < u.outputs; o++) {
        for (let i = 0; i < n; i++) {
          let sum = 0;
          for (let k = 0; k < u.inputs; k++)
            sum += values[placeIn(u)(g, o, k)]! * (columns.data[(g * u.inputs + k) * n + i] as number);
          assert.ok(Math.abs(sum - (rows.data[(g * u.outputs + o) * n + i] as number)) < 1e-5, `${g} ${o} ${i}`);
        }
        for (let k = 0; wanda && k < u.inputs; k++) {
          let power = 0;
          for (let i = 0; i < n; i++) power += (columns.data[(g * u.inputs + k) * n + i] as number) ** 2;
          const at = placeIn(u)(g, o, k);
          close(wanda[at]!, Math.abs(values[at]!) * Math.sqrt(power), 1e-4, `Wanda ${g} ${o} ${k}`);
        }
      }
  });

for (const [name, op, x, w, attributes] of [
  ["Gemm", "Gemm", [3, 5], [4, 3], {}],
  ["Gemm, transposed", "Gemm", [5, 3], [3, 4], { transA: 1, transB: 1 }],
  ["MatMul", "MatMul", [2, 3, 5], [4, 3], {}],
] as const)
  test(`${name} with its weight on the left is its weight times its columns, some of them left out`, async () => {
    const d = draft(emptyGraph("left", 21));
    d.inputs.push({ name: "x", type: "float32", shape: x });
    const weight = floats(Float32Array.from(ramp(12, 1)), w);
    d.initializers.set("w", weight);
    const n = node(op, ["w", "x"], ["y"], attributes);
    d.nodes.push(n);
    const record = recordOf(n)!;
    const types = [w, x].map((shape) => ({ type: "float32" as const, shape }));
    const u = record.unroll!(siteOf(record, { node: n, opset: 21, x: types }), 0)!;
    const g = new Emitter(d);
    const [xName, yName] = [u.x(g, "x", 2), u.y(g, "y", 2)] as const;
    d.outputs = [xName, yName].map((value) => ({ name: value, type: "float32", shape: null }));
    const results = await run(d, { x: { type: "float32", dims: x, data: Float32Array.from(ramp(sizeOf(x), 2)) } });
    const [columns, rows] = [results[xName]!, results[yName]!];
    const count = Math.ceil(sizeOf(x) / 3 / 2);
    assert.deepEqual(
      [[...columns.dims], [...rows.dims]],
      [
        [1, 3, count],
        [1, 4, count],
      ],
    );
    const values = float32sOf(weight);
    for (let o = 0; o < 4; o++)
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let k = 0; k < 3; k++) sum += values[placeIn(u)(0, o, k)]! * (columns.data[k * count + i] as number);
        close(rows.data[o * count + i] as number, sum, 1e-5, `${o} ${i}`);
      }
  });

test("every measure scores every weight it knows, in shape, finite, not negative, the same each time", async () => {
  for (const [name, dims] of [
    ["depthwise", [3, 32, 32]],
    ["cnn-small", [1, 28, 28]],
  ] as const) {
    const graph = network(name, { seed: 1 });
    const data = blobs(8, dims, 1);
    const weights = layersOf(graph).map((l) => l.weight);
    for (const measure of measureNames.filter((m) => m !== "si")) {
      const scores = await importance(graph, data, measure, { samples: 2 });
      const again = await importance(graph, data, measure, { samples: 2 });
      if (!["apoz", "bn-scale"].includes(measure))
        assert.deepEqual([...scores.keys()].sort(), [...weights].sort(), measure);
      for (const [weight, s] of scores) {
        assert.equal(s.length, sizeOf(graph.initializers.get(weight)!.dims), `${measure} ${weight}`);
        assert.ok(
          s.every((v) => Number.isFinite(v) && v >= 0),
          `${measure} ${weight}`,
        );
        assert.deepEqual(again.get(weight), s);
      }
    }
  }
});

test("a channel's score is that of all weights that go with it, or of those that make it", () => {
  const graph = network("cnn-small", { seed: 1 });
  const coupling = couple(graph);
  const groups = groupsOf(coupling).filter((g) => !g.blocked);
  const ones = new Map(layersOf(graph).map((l) => [l.weight, new Float32Array(sizeOf(l.dims)).fill(1)]));
  const [first, second] = layersOf(graph);
  const k = groups.findIndex((g) => g.members.some((m) => m.tensor === first!.weight && m.axis === 0));
  const makes = sizeOf(first!.dims.slice(1));
  const reads = (second!.dims[0]! * sizeOf(second!.dims.slice(1))) / first!.dims[0]!;
  const all = channelScores(coupling, groups, ones, { reduce: "sum", sides: "all" });
  const outputs = channelScores(coupling, groups, ones, { reduce: "sum", sides: "outputs" });
  assert.deepEqual([...all[k]!], Array(first!.dims[0]).fill(makes + reads));
  assert.deepEqual([...outputs[k]!], Array(first!.dims[0]).fill(makes));
  assert.ok(channelScores(coupling, groups, ones, { reduce: "mean", sides: "all" })[k]!.every((v) => v === 1));
  assert.equal(channelScores(coupling, groups, new Map(), { reduce: "sum", sides: "all" })[k], null);
});

test("what cannot be measured is refused in words", async () => {
  const graph = logistic([1, 1], 0);
  await assert.rejects(importance(graph, null, "fisher"), /"fisher" is measured on data/);
  await assert.rejects(importance(graph, null, "si"), /train it with the option path/);
  await assert.rejects(importance(graph, null, "best" as never), /there are l1, l2/);
  await assert.rejects(importance(graph, null, "l1", { names: ["v"] }), /no initialiser "v"/);
});
