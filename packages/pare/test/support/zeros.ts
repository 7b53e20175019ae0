/** Models as pruning tests need them: all-zero weights (fresh biases, zeroed heads) would hide a wrong cut, so they are filled. */
import { constantsOf, readBy } from "../../dist/analyze/couple.js";
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

/** The graph with what the Sigmoid or Softmax behind an output reads in the place of that output: a saturated probability shows nothing. */
export function withLogits(graph: Graph): Graph {
  const maker = new Map(graph.nodes.flatMap((n) => n.outputs.map((o) => [o, n] as const)));
  const behind = (name: string): string | null => {
    const n = maker.get(name);
    if (!n) return null;
    if (/^(Sigmoid|Softmax|LogSoftmax)$/.test(n.op)) return n.inputs[0]!;
    if (!/^(Identity|Squeeze|Unsqueeze|ReduceMean|If)$/.test(n.op)) return null;
    return (n.op === "If" ? readBy(n) : n.inputs.slice(0, 1)).map(behind).find((found) => found !== null) ?? null;
  };
  const d = draft(graph);
  d.outputs = graph.outputs.map((v) => {
    const logits = behind(v.name);
    return logits === null ? v : { name: logits, type: v.type, shape: null };
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
type Outputs = Readonly<Record<string, NDArray>>;
/** Largest difference relative to the largest value, over all outputs; infinite where shapes differ. */
export const far = (a: Outputs, b: Outputs): number => furthest([a], [b]);
/** The same over several runs: what an output is at most in any of them is what its differences are relative to. */
export function furthest(a: readonly Outputs[], b: readonly Outputs[]): number {
  let worst = 0;
  for (const name of Object.keys(a[0]!)) {
    let [difference, top] = [0, 1e-30];
    for (const [r, { [name]: x }] of a.entries()) {
      const y = b[r]![name];
      if (!x || !y || x.dims.join() !== y.dims.join()) return Number.POSITIVE_INFINITY;
      for (let i = 0; i < x.data.length; i++) {
        const [p, q] = [numberAt(x, i), numberAt(y, i)];
        if (Number.isNaN(p) !== Number.isNaN(q)) return Number.POSITIVE_INFINITY;
        if (Number.isFinite(p)) top = Math.max(top, Math.abs(p));
        if (!Number.isNaN(p) && p !== q) difference = Math.max(difference, Math.abs(p - q));
      }
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
