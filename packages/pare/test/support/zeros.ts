/** Models as pruning tests need them: all-zero weights (fresh biases, zeroed heads) would hide a wrong cut, so they are filled. */
import { constantsOf } from "../../dist/analyze/couple.js";
import type { NDArray } from "../../dist/engine/engine.js";
import { draft, type Graph, type Tensor } from "../../dist/graph/graph.js";
import { floats, sizeOf } from "../../dist/graph/tensor.js";
import { randomFrom } from "./expose.js";

/** The graph with every all-zero float32 constant of more than one element made small and positive. */
export function fillZeros(graph: Graph): Graph {
  const random = randomFrom(7);
  const d = draft(graph);
  for (const [name, t] of constantsOf(graph)) {
    if (t.type !== "float32" || sizeOf(t.dims) < 2 || t.bytes.some(Boolean)) continue;
    const filled: Tensor = floats(
      Float32Array.from({ length: sizeOf(t.dims) }, () => 0.02 + 0.2 * random()),
      t.dims,
    );
    if (d.initializers.has(name)) d.initializers.set(name, filled);
    else
      d.nodes = d.nodes.map((n) =>
        n.outputs[0] === name ? { ...n, attributes: { value: { kind: "tensor", value: filled } } } : n,
      );
  }
  return d;
}

/** The graph with what its last Sigmoid or Softmax reads in the place of what these give: a saturated probability shows nothing. */
export function withLogits(graph: Graph): Graph {
  const d = draft(graph);
  d.outputs = graph.outputs.map((v) => {
    const last = graph.nodes.find((n) => n.outputs.includes(v.name));
    const saturates = last && /^(Sigmoid|Softmax|LogSoftmax)$/.test(last.op);
    return saturates ? { name: last.inputs[0]!, type: v.type, shape: null } : v;
  });
  return d;
}
/** A float16 model in float32: half precision rounds sums of another order by more than a wrong cut might change. */
export function singlePrecision(graph: Graph): Graph {
  const d = draft(graph);
  const single = <T extends { readonly type: string }>(v: T): T =>
    v.type === "float16" ? { ...v, type: "float32" } : v;
  for (const [name, t] of d.initializers)
    if (t.type === "float16") {
      const bits = new Uint16Array(t.bytes.slice().buffer);
      d.initializers.set(name, floats(Float32Array.from(bits, half), t.dims));
    }
  d.inputs = d.inputs.map(single);
  d.outputs = d.outputs.map(single);
  d.values = new Map();
  return d;
}

const half = (bits: number): number => {
  const [e, f] = [(bits >> 10) & 31, bits & 1023];
  return (
    (bits & 0x8000 ? -1 : 1) *
    (e === 0 ? f * 2 ** -24 : e === 31 ? (f ? Number.NaN : Infinity) : (1 + f / 1024) * 2 ** (e - 15))
  );
};
const numberAt = (a: NDArray, i: number): number => {
  const v = a.data[i]!;
  return a.type === "float16" ? half(Number(v)) : Number(v);
};
/** Largest difference relative to the largest value, over all outputs; infinite where shapes differ. */
export function far(a: Readonly<Record<string, NDArray>>, b: Readonly<Record<string, NDArray>>): number {
  let worst = 0;
  for (const [name, x] of Object.entries(a)) {
    const y = b[name];
    if (!y || x.dims.join() !== y.dims.join()) return Number.POSITIVE_INFINITY;
    let [difference, top] = [0, 1e-30];
    for (let i = 0; i < x.data.length; i++) {
      const [p, q] = [numberAt(x, i), numberAt(y, i)];
      if (Number.isNaN(p) !== Number.isNaN(q)) return Number.POSITIVE_INFINITY;
      if (Number.isNaN(p) || p === q) continue;
      difference = Math.max(difference, Math.abs(p - q));
      top = Math.max(top, Math.abs(p));
    }
    worst = Math.max(worst, difference / top);
  }
  return worst;
}
/** A random half of a list. */
export function randomHalf<T>(list: readonly T[], random: () => number): T[] {
  const rest = [...list];
  const out: T[] = [];
  while (out.length < list.length >> 1) out.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return out;
}
