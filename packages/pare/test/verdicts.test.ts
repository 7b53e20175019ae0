/** How candidates are judged: by the information that probabilities lose, and by classes wherever the scores have them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Distributions } from "../dist/compare/distributions.js";
import { Classes } from "../dist/compare/reference.js";
import type { NDArray } from "../dist/engine/engine.js";
import { emptyGraph } from "../dist/graph/graph.js";

const array = (dims: readonly number[], ...values: readonly number[]): NDArray => ({
  type: "float32",
  dims,
  data: Float32Array.from(values),
});
const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-4 * Math.max(1, Math.abs(b)), `${a}, ${b}`);

test("probabilities: what they tell of their samples, and what another model's lose", () => {
  const [a, b] = [array([1, 3, 1, 1], 0.7, 0.2, 0.1), array([1, 3, 1, 1], 0.1, 0.2, 0.7)];
  const found = Distributions.of([a, b])!;
  near(found.signal, 2 * (0.7 * Math.log(0.7 / 0.4) + 0.1 * Math.log(0.1 / 0.4)));
  assert.equal(found.loss(a, a), 0);
  near(found.loss(a, b), 0.7 * Math.log(7) + 0.1 * Math.log(1 / 7));
  // Rounded to zero: much is lost, but not everything.
  const zero = found.loss(a, array([1, 3, 1, 1], 0.8, 0.2, 0));
  assert.ok(zero > 0.9 && zero < 2, `${zero}`);
  assert.ok(Number.isFinite(found.loss(a, array([1, 3, 1, 1], Number.NaN, 0, 1))), "what is no number counts as lost");
  // Rows of several steps, and as many as there are.
  near(Distributions.of([array([1, 2, 2], 1, 0, 0, 1)])!.signal, 2 * Math.log(2));
});

test("what is no distribution, or tells nothing, is judged by its energy", () => {
  assert.equal(Distributions.of([array([1, 2], 0.5, 0.6), array([1, 2], 0.5, 0.5)]), null);
  assert.equal(Distributions.of([array([1, 2], -0.5, 1.5), array([1, 2], 0.5, 0.5)]), null);
  assert.equal(Distributions.of([array([1, 1], 1), array([1, 1], 1)]), null, "one class");
  assert.equal(Distributions.of([array([1, 2], 0.3, 0.7), array([1, 2], 0.3, 0.7)]), null, "the same of all samples");
  assert.equal(Distributions.of([]), null);
});

test("classes are compared where scores have further axes of 1, and where they have none", () => {
  const classes = (shape: readonly (number | string)[], rows: readonly NDArray[]): number | null => {
    const graph = emptyGraph("g", 17);
    graph.outputs.push({ name: "y", type: "float32", shape });
    const found = new Classes(graph);
    for (const y of rows) found.add({ y: array(y.dims, 0, 3, 1) }, { y }, 1);
    return found.agreement;
  };
  const rows = (dims: readonly number[]) => [array(dims, 1, 2, 0), array(dims, 5, 2, 0)];
  assert.equal(classes([1, 3, 1, 1], rows([1, 3, 1, 1])), 0.5);
  assert.equal(classes(["n", 3], rows([1, 3])), 0.5);
  assert.equal(classes([3], rows([3])), 0.5);
  assert.equal(classes(["n", 1], rows([3, 1])), null, "one number for each of three samples");
  assert.equal(classes([1, 3, 2, 1], []), null);
});
