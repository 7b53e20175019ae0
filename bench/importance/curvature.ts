/** A seed enters; the largest relative error of OBD's diagonal against central differences of a tanh network's loss, both in float64, leaves. */
import type { Dataset } from "../../packages/pare/dist/data/dataset.js";
import { Random } from "../../packages/pare/dist/data/random.js";
import { ortNode as engine } from "../../packages/pare/dist/engine/ort-node.js";
import { node } from "../../packages/pare/dist/graph/emit.js";
import { emptyGraph } from "../../packages/pare/dist/graph/graph.js";
import { hessianDiagonal } from "../../packages/pare/dist/importance/obd.js";

const [inputs, hidden, classes, samples] = [20, 40, 8, 32];
const step = 5e-3;

export interface Curvature {
  readonly weights: number;
  /** Errors over the larger of the difference quotient and a hundredth of its layer's largest. */
  readonly worst: number;
}

export async function curvature(seed: number): Promise<Curvature> {
  const random = new Random(seed);
  const draw = (length: number, scale = 1) => Float64Array.from({ length }, () => scale * (2 * random.uniform() - 1));
  const [w1, b1, w2, b2] = [draw(inputs * hidden, 0.5), draw(hidden), draw(hidden * classes, 0.5), draw(classes)];
  const x = draw(samples * inputs);
  const labels = Int32Array.from({ length: samples }, () => random.uint32() % classes);
  const loss = (): number => {
    let sum = 0;
    for (let s = 0; s < samples; s++) {
      const h = Array.from(b1, (b, j) => {
        let a = b;
        for (let i = 0; i < inputs; i++) a += x[s * inputs + i]! * w1[i * hidden + j]!;
        return Math.tanh(a);
      });
      const z = Array.from(b2, (b, k) => h.reduce((a, v, j) => a + v * w2[j * classes + k]!, b));
      sum += Math.log(z.reduce((a, v) => a + Math.exp(v), 0)) - z[labels[s]!]!;
    }
    return sum / samples;
  };
  const all: Record<string, readonly [Float64Array, readonly number[]]> = {
    w1: [w1, [inputs, hidden]],
    b1: [b1, [hidden]],
    w2: [w2, [hidden, classes]],
    b2: [b2, [classes]],
  };
  const graph = emptyGraph("toy", 21);
  graph.inputs.push({ name: "x", type: "float64", shape: ["n", inputs] });
  for (const [name, [values, dims]] of Object.entries(all))
    graph.initializers.set(name, { type: "float64", dims, bytes: new Uint8Array(values.slice().buffer) });
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
  const names = Object.keys(all);
  const diagonal = await hessianDiagonal({ graph, names, data, samples, seed: 0, path: null, engine });
  const base = loss();
  let [weights, worst] = [0, 0];
  for (const [name, [values]] of Object.entries(all)) {
    // Central differences of fourth order.
    const expected = values.map((w, i) => {
      const at = (k: number): number => {
        values[i] = w + k * step;
        return loss();
      };
      const quotient = (16 * (at(1) + at(-1)) - at(2) - at(-2) - 30 * base) / (12 * step ** 2);
      values[i] = w;
      return quotient;
    });
    const top = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    const found = diagonal.get(name)!;
    expected.forEach((v, i) => {
      worst = Math.max(worst, Math.abs(found[i]! - v) / Math.max(Math.abs(v), 0.01 * top));
    });
    weights += values.length;
  }
  return { weights, worst };
}
