/** Second moments of layers' inputs: the outputs' energy follows from them, whatever kind of product it is. Raw values of a few samples. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { collect } from "../dist/calibrate/collect.js";
import { type Moments, secondMoments } from "../dist/calibrate/moments.js";
import type { Samples } from "../dist/data/samples.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode as engine } from "../dist/engine/ort-node.js";
import { node } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import { read } from "../dist/graph/file.js";
import { draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { expose, randomFeeds, randomFrom } from "./support/expose.js";
import { sharedModels } from "./support/models.js";
import { needsShared } from "./support/shared.js";

const samplesFor = (graph: Graph, length: number, dims = {}): Samples => ({
  name: "random",
  length,
  label: () => null,
  feeds: (i) => randomFeeds(graph, dims, i + 1),
  batch: () => null,
});

/** w^T M w of group g. */
function energy({ products, inputs }: Moments, g: number, w: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < inputs; i++)
    for (let j = 0; j < inputs; j++) sum += w(i) * w(j) * products[(g * inputs + i) * inputs + j]!;
  return sum;
}
const close = (a: number, b: number, what: string): void =>
  assert.ok(Math.abs(a - b) <= 1e-3 * Math.abs(b) + 1e-4, `${what}: ${a}, not ${b}`);

/** Sum of y and of y^2 by channel (axis 1), without the bias. */
async function outputsOf(graph: Graph, name: string, bias: Float32Array | null, samples: Samples) {
  const session = await engine.load(expose(graph, (n) => n === name));
  const [sums, squares] = [[] as number[], [] as number[]];
  for (let s = 0; s < samples.length; s++) {
    const { dims, data } = (await session.run(samples.feeds(s), [name]))[name] as NDArray & { data: Float32Array };
    const inner = dims.slice(2).reduce((p, d) => p * d, 1);
    data.forEach((y, i) => {
      const c = Math.floor(i / inner) % dims[1]!;
      const v = y - (bias?.[c] ?? 0);
      sums[c] = (sums[c] ?? 0) + v;
      squares[c] = (squares[c] ?? 0) + v * v;
    });
  }
  await session.release();
  return { sums, squares };
}

for (const [name, pick, dims] of [
  ["resnet20-cifar", [1, 2, 9, 15], {}],
  ["resnext_g8", [1, 3, 5], {}],
  ["ultraface_rfb_320_simplified", [1, 8, 40], {}],
  ["fastestdet", [1, 5], {}],
] as const)
  test(`convolutions of ${name}: strides, padding, groups, dilations`, async (t) => {
    const model = sharedModels().find((m) => m.name === name);
    if (!model) return t.skip(needsShared);
    const graph = await read(model.path);
    const samples = samplesFor(graph, 1, dims);
    const convs = graph.nodes.filter((n) => n.op === "Conv").filter((_, i) => (pick as readonly number[]).includes(i));
    assert.equal(convs.length, pick.length);
    const keys = convs.map((n) => n.outputs[0]!);
    const found = await secondMoments(graph, keys, samples, { engine });
    for (const n of convs) {
      const m = found.get(n.outputs[0]!)!;
      const weight = graph.initializers.get(n.inputs[1]!)!;
      const [o, ...rest] = weight.dims as [number, ...number[]];
      assert.equal(
        m.inputs,
        rest.reduce((p, d) => p * d, 1),
      );
      const bias = n.inputs[2] ? float32sOf(graph.initializers.get(n.inputs[2])!) : null;
      const { sums, squares } = await outputsOf(graph, n.outputs[0]!, bias, samples);
      const w = float32sOf(weight);
      for (let c = 0; c < o; c++) {
        const g = Math.floor((c * m.groups) / o);
        const of = (i: number): number => w[c * m.inputs + i]!;
        close(energy(m, g, of), squares[c]!, `${n.name} channel ${c}`);
        let sum = 0;
        for (let i = 0; i < m.inputs; i++) sum += of(i) * m.sums[g * m.inputs + i]!;
        assert.ok(Math.abs(sum - sums[c]!) < 1e-3 * Math.sqrt(squares[c]! * m.rows) + 1e-4, `${n.name} sum ${c}`);
      }
    }
  });

test("products of matrices, whichever side the constant is on and however it lies", async () => {
  const random = randomFrom(1);
  const weight = (...dims: number[]) =>
    floats(
      Float32Array.from({ length: dims.reduce((p, d) => p * d, 1) }, () => random() - 0.5),
      dims,
    );
  const d = emptyGraph("products", 17);
  d.inputs.push({ name: "x", type: "float32", shape: ["b", 5, 3] }, { name: "m", type: "float32", shape: [4, 6] });
  for (const [name, dims] of [
    ["w", [3, 2]],
    ["l", [7, 5]],
    ["a", [6, 2]],
    ["b", [2, 6]],
    ["c", [4, 2]],
    ["e", [7, 4]],
  ] as const)
    d.initializers.set(name, weight(...dims));
  d.nodes.push(
    node("MatMul", ["x", "w"], ["right"]),
    node("MatMul", ["l", "x"], ["left"]),
    node("Gemm", ["m", "a"], ["plain"]),
    node("Gemm", ["m", "b"], ["turned"], { transB: 1 }),
    node("Gemm", ["m", "c"], ["columns"], { transA: 1 }),
    node("Gemm", ["e", "m"], ["leftGemm"]),
  );
  const keys = d.nodes.map((n) => n.outputs[0]!);
  d.outputs.push(...keys.map((name) => ({ name, type: "float32" as const, shape: null })));
  const samples = samplesFor(d, 3, { x: [2, 5, 3] });
  const found = await secondMoments(d, keys, samples, { engine });
  /** Rows of each product's data. */
  const rows = (key: string): number[][] =>
    [0, 1, 2].flatMap((i) => {
      const { x, m } = samples.feeds(i);
      const [xs, ms] = [x!.data as Float32Array, m!.data as Float32Array];
      const at = (r: number, k: number, make: (r: number, k: number) => number): number[][] =>
        Array.from({ length: r }, (_, a) => Array.from({ length: k }, (_, c) => make(a, c)));
      if (key === "right") return at(10, 3, (r, k) => xs[r * 3 + k]!);
      if (key === "left") return at(6, 5, (r, k) => xs[Math.floor(r / 3) * 15 + k * 3 + (r % 3)]!);
      if (key === "plain" || key === "turned") return at(4, 6, (r, k) => ms[r * 6 + k]!);
      return at(6, 4, (r, k) => ms[k * 6 + r]!);
    });
  for (const key of keys) {
    const [m, x] = [found.get(key)!, rows(key)];
    assert.deepEqual([m.inputs, m.groups, m.rows], [x[0]!.length, 1, x.length], key);
    for (let i = 0; i < m.inputs; i++) {
      close(
        m.sums[i]!,
        x.reduce((s, r) => s + r[i]!, 0),
        key,
      );
      for (let j = 0; j < m.inputs; j++)
        close(
          m.products[i * m.inputs + j]!,
          x.reduce((s, r) => s + r[i]! * r[j]!, 0),
          `${key} ${i} ${j}`,
        );
    }
  }
});

test("of large values, rows are taken evenly; sizes and nodes that do not fit are refused", async () => {
  const d = emptyGraph("large", 17);
  d.inputs.push({ name: "x", type: "float32", shape: ["n", 2] });
  d.initializers.set("w", floats([1, 2], [2, 1]));
  d.nodes.push(
    node("MatMul", ["x", "w"], ["y"], {}, "", "fc"),
    node("Relu", ["y"], ["z"]),
    node("Log", ["x"], ["v"]),
    node("MatMul", ["v", "w"], ["u"], {}, "", "after"),
  );
  d.outputs.push({ name: "z", type: "float32", shape: null });
  const samples = samplesFor(d, 20, { x: [50_000, 2] });
  const m = (await secondMoments(d, ["y"], samples, { engine })).get("y")!;
  assert.ok(m.rows >= 16384 && m.rows < 40_000, `${m.rows} rows`);
  const each = m.products[0]! / m.rows;
  assert.ok(Math.abs(each - 1 / 3) < 0.02, `mean square ${each}`);
  const refuse = (keys: string[], pattern: RegExp): Promise<void> =>
    assert.rejects(secondMoments(d, keys, samplesFor(d, 1, { x: [3, 2] }), { engine }), (e: unknown) => {
      assert.ok(e instanceof PareError, String(e));
      assert.match(e.message, pattern);
      return true;
    });
  await refuse(["z"], /Relu "z": moments are of the inputs of/);
  await refuse(["nowhere"], /no node .* "nowhere"/);
  await refuse(["u"], /MatMul "after": .*infinite or undefined moments for sample 0/);
});

test("collect holds as many samples as fit", async () => {
  const d = draft(emptyGraph("g", 17));
  d.inputs.push({ name: "x", type: "float32", shape: ["n", 4] });
  d.nodes.push(node("Relu", ["x"], ["y"]), node("Neg", ["y"], ["z"]));
  d.outputs.push({ name: "z", type: "float32", shape: null });
  const samples = samplesFor(d, 10, { x: [1, 4] });
  const got = await collect(d, ["x", "y"], samples, { engine, limitBytes: 5 * 32 });
  assert.deepEqual(
    got.map((s) => s.index),
    [0, 2, 4, 6, 8],
  );
  for (const { index, values } of got) {
    assert.deepEqual(Object.keys(values).sort(), ["x", "y"]);
    assert.deepEqual(values.x, samples.feeds(index).x);
  }
  assert.equal((await collect(d, ["y"], samples, { engine, limitBytes: 1e6, limit: 3 })).length, 3);
  await assert.rejects(
    collect(d, ["y"], samples, { engine, limitBytes: 15 }),
    /one sample take 16 bytes, 15 are allowed/,
  );
  await assert.rejects(collect(d, ["none"], samples, { engine, limitBytes: 15 }), /no value "none"/);
});
