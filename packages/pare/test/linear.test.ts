/** Factors of matrices and of layers: exact where nothing is dropped, as far off as theory says where something is, never worse for more work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { infer } from "../dist/analyze/infer.js";
import { fit } from "../dist/data/fit.js";
import { fromArrays } from "../dist/data/from-table.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { node } from "../dist/graph/emit.js";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { nearestNames } from "../dist/graph/nearest-names.js";
import { floats } from "../dist/graph/tensor.js";
import { cholesky, solveLower, solveRows } from "../dist/linear/cholesky.js";
import { eigenSymmetric } from "../dist/linear/eigen.js";
import { evidenceRank } from "../dist/linear/evidence-rank.js";
import { type LinearLayer, linearLayers } from "../dist/linear/layers.js";
import { gram, type Matrix, matrix, multiply, multiplyTransposed, transpose } from "../dist/linear/matrix.js";
import { momentsOf } from "../dist/linear/moments.js";
import { biasFor, distance, energyOf, problemOf } from "../dist/linear/problem.js";
import { replaceLayer } from "../dist/linear/replace.js";
import { allocate } from "../dist/methods/allocate-ranks.js";
import { factorizers } from "../dist/methods/low-rank-auto.js";
import { randomFrom } from "./support/expose.js";

function randomMatrix(rows: number, cols: number, seed: number): Matrix {
  const random = randomFrom(seed);
  return matrix(
    rows,
    cols,
    Float64Array.from({ length: rows * cols }, () => random() * 2 - 1),
  );
}
const farthest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  assert.equal(a.length, b.length);
  return Math.max(0, ...Array.from(a, (v, i) => Math.abs(v - b[i]!)));
};
const identity = (n: number) =>
  matrix(
    n,
    n,
    Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) ? 0 : 1)),
  );
/** Orthonormal rows. */
const orthonormal = (n: number, seed: number): Matrix => eigenSymmetric(gram(randomMatrix(n, n + 3, seed))).vectors;

test("eigenvectors are orthonormal and give the matrix back; values are those it was made of", () => {
  for (const n of [1, 2, 3, 17, 60]) {
    const wanted = Float64Array.from({ length: n }, (_, i) => (i % 3 === 0 ? 5 : n - i));
    const basis = orthonormal(n, n);
    const scaled = matrix(
      n,
      n,
      basis.data.map((v, i) => v * wanted[Math.floor(i / n)]!),
    );
    const a = multiply(transpose(basis), scaled);
    const { values, vectors } = eigenSymmetric(a);
    assert.ok(
      farthest(
        values,
        wanted.sort((x, y) => y - x),
      ) <
        1e-11 * n,
    );
    assert.ok(farthest(multiplyTransposed(vectors, vectors).data, identity(n).data) < 1e-12 * n);
    const back = matrix(
      n,
      n,
      vectors.data.map((v, i) => v * values[Math.floor(i / n)]!),
    );
    assert.ok(farthest(multiply(transpose(vectors), back).data, a.data) < 1e-11 * n);
  }
  assert.deepEqual([...eigenSymmetric(matrix(4, 4)).values], [0, 0, 0, 0]);
  // Most values are zero but for rounding.
  const low = gram(multiply(randomMatrix(96, 24, 5), randomMatrix(24, 24, 6)));
  assert.ok(eigenSymmetric(low).values.every((v, i, all) => i < 24 || Math.abs(v) < 1e-12 * all[0]!));
});

test("triangles solve systems; what is not positive definite is refused", () => {
  const a = gram(randomMatrix(30, 40, 1));
  const b = randomMatrix(5, 30, 2);
  const l = cholesky(a);
  assert.ok(farthest(multiplyTransposed(l, l).data, a.data) < 1e-12);
  assert.ok(farthest(multiply(solveRows(l, b), a).data, b.data) < 1e-9);
  assert.ok(farthest(multiply(solveLower(l, b), l).data, b.data) < 1e-9);
  assert.throws(() => cholesky(matrix(2, 2, Float64Array.of(1, 2, 2, 1))), /not positive definite at row 1/);
});

interface Case {
  readonly name: string;
  readonly op: string;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly bias?: readonly number[];
  readonly attributes?: Record<string, number | string | readonly number[]>;
}
const cases: readonly Case[] = [
  { name: "padded", op: "Conv", x: [2, 5, 8, 7], w: [6, 5, 3, 3], bias: [6], attributes: { pads: [1, 1, 1, 1] } },
  {
    name: "uneven",
    op: "Conv",
    x: [1, 4, 9, 12],
    w: [7, 4, 3, 5],
    attributes: { pads: [2, 1, 0, 3], strides: [2, 1], dilations: [1, 2] },
  },
  {
    name: "same",
    op: "Conv",
    x: [1, 3, 9, 8],
    w: [4, 3, 4, 3],
    attributes: { auto_pad: "SAME_LOWER", strides: [2, 3] },
  },
  { name: "strided 1 x 1", op: "Conv", x: [1, 6, 6, 6], w: [4, 6, 1, 1], attributes: { strides: [2, 2] } },
  { name: "1-D", op: "Conv", x: [2, 4, 20], w: [5, 4, 3], bias: [5], attributes: { pads: [1, 1] } },
  { name: "turned Gemm", op: "Gemm", x: [3, 10], w: [6, 10], bias: [6], attributes: { transB: 1 } },
  { name: "Gemm without bias", op: "Gemm", x: [3, 10], w: [10, 4] },
  { name: "batched MatMul", op: "MatMul", x: [2, 3, 10], w: [10, 7] },
];
function single(c: Case): { graph: Graph; layer: LinearLayer; x: NDArray } {
  const graph = emptyGraph("one", 17);
  graph.irVersion = 8;
  const tensor = (dims: readonly number[], seed: number) => {
    const random = randomFrom(seed);
    return floats(
      Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random() - 0.5),
      dims,
    );
  };
  graph.initializers.set("w", tensor(c.w, 3));
  if (c.bias) graph.initializers.set("b", tensor(c.bias, 4));
  graph.inputs.push({ name: "x", type: "float32", shape: [...c.x] });
  graph.outputs.push({ name: "y", type: "float32", shape: null });
  graph.nodes.push(node(c.op, ["x", "w", ...(c.bias ? ["b"] : [])], ["y"], c.attributes ?? {}, "", "layer"));
  const { layers } = linearLayers(graph, infer(graph));
  const x = tensor(c.x, 5);
  return { graph, layer: layers[0]!, x: { type: "float32", dims: c.x, data: new Float32Array(x.bytes.buffer) } };
}
async function run(graph: Graph, x: NDArray): Promise<Float32Array> {
  const session = await ortNode.load(graph);
  const y = (await session.run({ x })).y!.data as Float32Array;
  await session.release();
  return y;
}
/** Moments of correlated inputs whose wanted answers are nearly those of the weight. */
function momentsFor(layer: LinearLayer, seed: number, noise = 0) {
  const n = layer.weight.cols;
  const rows = randomMatrix(n, 3 * n, seed);
  // Neighbouring columns alike, as neighbouring pixels are.
  for (let i = 1; i < n; i++)
    for (let j = 0; j < rows.cols; j++) rows.data[i * rows.cols + j]! += 0.8 * rows.data[(i - 1) * rows.cols + j]!;
  const input = gram(rows);
  const wanted = randomMatrix(layer.weight.rows, n, seed + 1);
  const target = matrix(
    layer.weight.rows,
    n,
    layer.weight.data.map((v, i) => v + noise * wanted.data[i]!),
  );
  const cross = multiply(target, input);
  const inputMean = new Float64Array(n);
  const targetMean = Float64Array.from({ length: layer.outputs }, (_, o) => layer.bias?.[o] ?? 0);
  return { input, cross, inputMean, targetMean, own: false };
}

for (const c of cases)
  for (const f of factorizers)
    test(`${f.id} of full rank computes what ${c.name} ${c.op} computes, with and without data`, async (t) => {
      const { graph, layer, x } = single(c);
      const refused = f.refuses(layer);
      if (refused) return t.skip(refused);
      const y = await run(graph, x);
      for (const moments of [null, momentsFor(layer, 7)]) {
        const problem = problemOf(layer, moments);
        const { stages, weight } = f.solve(problem, f.full(layer), 1);
        const replaced = replaceLayer(graph, layer, { stages, bias: biasFor(problem, weight) });
        assert.ok(replaced.nodes.length >= (f.id === "tucker2" ? 1 : 2));
        assert.ok(!replaced.initializers.has("w"));
        const off = farthest(await run(replaced, x), y);
        assert.ok(off < 1e-4, `${off} with${moments ? "" : "out"} data`);
      }
    });

for (const c of cases)
  test(`moments of ${c.name} ${c.op}: the answers it gives are its weight times what it sees`, async () => {
    const { graph, layer } = single(c);
    const rows = 6;
    const dims = c.x.slice(1);
    const size = dims.reduce((a, b) => a * b);
    const random = randomFrom(9);
    const x = Float32Array.from({ length: rows * size }, () => random());
    const data = fit(fromArrays({ name: "random", x, dims }), graph.inputs);
    const free = { ...graph, inputs: graph.inputs.map((v) => ({ ...v, shape: ["n", ...dims] })) };
    const about = { engine: ortNode, seed: 1 };
    const wanted = { graph: free, target: { value: "y", other: null } };
    const [own, asked] = [await momentsOf(free, layer, data, about), await momentsOf(free, layer, data, about, wanted)];
    assert.ok(farthest(own.input.data, asked.input.data) < 1e-9);
    assert.ok(farthest(asked.cross.data, own.cross.data) < 1e-5);
    assert.ok(farthest(asked.targetMean, own.targetMean) < 1e-5);
    assert.ok(asked.input.data.some((v) => v > 1e-3));
  });

test("what is too large to be decomposed here is refused", () => {
  const { layer } = single(cases[0]!);
  const weight = { rows: 3000, cols: 4000, data: new Float64Array(0) };
  assert.match(factorizers.find((f) => f.id === "svd")!.refuses({ ...layer, weight })!, /3000 x 4000/);
});

test("the error of a truncated SVD is the root of the sum of the dropped squared singular values", () => {
  const values = [9, 5, 3, 2, 1, 0.5];
  const [left, right] = [orthonormal(6, 11), orthonormal(10, 12)];
  const scaled = matrix(
    6,
    10,
    Float64Array.from({ length: 60 }, (_, i) => values[Math.floor(i / 10)]! * right.data[i]!),
  );
  const w = multiply(transpose(left), scaled);
  const { layer } = single(cases.find((c) => c.name === "turned Gemm")!);
  const svd = factorizers.find((f) => f.id === "svd")!;
  const problem = problemOf({ ...layer, weight: w }, null);
  const foreseen = svd.foresee(problem);
  for (let r = 1; r <= 6; r++) {
    const { stages } = svd.solve(problem, [r], 0);
    const product = multiply(matrix(6, r, stages[1]!.weight.slice()), matrix(r, 10, stages[0]!.weight.slice()));
    const error = Math.sqrt(product.data.reduce((s, v, i) => s + (v - w.data[i]!) ** 2, 0));
    const dropped = values.slice(r).reduce((s, v) => s + v * v, 0);
    assert.ok(Math.abs(error - Math.sqrt(dropped)) < 1e-5, `rank ${r}: ${error}`);
    assert.ok(Math.abs(foreseen([r]) - dropped / energyOf(problem)) < 1e-9);
  }
});

test("the goal is what is best on the data, drawn to the weight by the ridge", () => {
  const { layer } = single(cases[0]!);
  const moments = momentsFor(layer, 21, 0.3);
  const { data, cols: n } = moments.input;
  const power = Array.from({ length: n }, (_, i) => data[i * n + i]!).reduce((a, b) => a + b) / n;
  for (const ridge of [1e-3, 0.1, 10]) {
    const { best } = problemOf(layer, moments, ridge);
    const drawn = (w: Matrix, to: Matrix) => to.data.map((v, i) => v + ridge * power * w.data[i]!);
    const off = farthest(drawn(best, multiply(best, moments.input)), drawn(layer.weight, moments.cross));
    assert.ok(off < 1e-8 * (1 + ridge) * power, `ridge ${ridge}: ${off}`);
  }
});

test("what is known of the inputs makes answers better, and more rounds never worse", () => {
  const { layer } = single(cases[0]!);
  const ranks = { svd: [3], tucker2: [3, 3], spatial: [4], cp: [7], separable: [1] };
  for (const f of factorizers) {
    const seen = problemOf(layer, momentsFor(layer, 21, 0.3));
    const blind = f.solve(problemOf(layer, null), ranks[f.id], 6);
    const errors = [0, 1, 2, 6].map((rounds) => distance(seen, f.solve(seen, ranks[f.id], rounds).weight));
    for (const [i, e] of errors.entries()) assert.ok(i === 0 || e <= errors[i - 1]! * (1 + 1e-9), `${f.id}: ${errors}`);
    assert.ok(errors.at(-1)! < 0.8 * distance(seen, blind.weight), `${f.id}: ${errors}`);
    if (!["svd"].includes(f.id)) assert.ok(errors.at(-1)! < 0.999 * errors[0]!, `${f.id} does not improve: ${errors}`);
  }
});

test("the rank by variational Bayes is that of what stands out of the noise", () => {
  const noise = randomMatrix(40, 90, 31);
  for (const rank of [0, 1, 5, 12]) {
    const signal = multiply(randomMatrix(40, Math.max(1, rank), 32), randomMatrix(Math.max(1, rank), 90, 33));
    const mixed = matrix(
      40,
      90,
      noise.data.map((v, i) => 0.5 * v + (rank ? 2 * signal.data[i]! : 0)),
    );
    assert.equal(evidenceRank(mixed), rank);
    assert.equal(evidenceRank(transpose(mixed)), rank);
  }
  assert.equal(evidenceRank(matrix(3, 4)), 0);
});

test("choices stay within the budget, lose at most one layer's step more than the best of all, and are the cheapest where it cannot be met", () => {
  const random = randomFrom(41);
  for (let round = 0; round < 50; round++) {
    const layers = Array.from({ length: 4 }, () => [
      { cost: 10, loss: 0 },
      ...Array.from({ length: 4 }, () => ({ cost: 1 + 8 * random(), loss: random() })),
    ]);
    const all = layers.reduce<{ cost: number; loss: number }[]>(
      (found, list) => found.flatMap((f) => list.map((c) => ({ cost: f.cost + c.cost, loss: f.loss + c.loss }))),
      [{ cost: 0, loss: 0 }],
    );
    const budget = 10 + 25 * random();
    const chosen = allocate(layers, budget);
    const cost = chosen.reduce((s, c) => s + c.cost, 0);
    const loss = chosen.reduce((s, c) => s + c.loss, 0);
    const cheapest = Math.min(...all.map((a) => a.cost));
    assert.ok(cost <= Math.max(budget, cheapest) + 1e-12);
    const best = Math.min(...all.filter((a) => a.cost <= budget).map((a) => a.loss));
    // Between two points of the hull a search may do better by less than one layer's step.
    if (budget >= cheapest) assert.ok(loss <= best + 1, `${loss} against ${best}`);
    else assert.equal(cost, cheapest);
    for (const [i, list] of layers.entries())
      for (const c of list)
        assert.ok(
          cost - chosen[i]!.cost + c.cost > budget || c.loss >= chosen[i]!.loss,
          "one layer alone could do better",
        );
  }
});

test("names that are not there lead to the nearest", () => {
  assert.deepEqual(nearestNames("fc_1", ["conv1", "fc1", "fc2", "Relu"])[0], "fc1");
});
