/** A graph whose every inner tensor is an output too, and feeds for it: what onnxruntime itself says of shapes and values. */
import type { NDArray, TypedArray } from "../../dist/engine/engine.js";
import { draft, type ElementType, feeds, type Graph, type Tensor, type Value } from "../../dist/graph/graph.js";

/** Adds every node output of the main graph to the outputs. */
export function expose(graph: Graph, wanted: (name: string) => boolean = () => true): Graph {
  const d = draft(graph);
  const seen = new Set(d.outputs.map((v) => v.name));
  for (const n of graph.nodes)
    for (const o of n.outputs)
      if (o && !seen.has(o) && wanted(o)) {
        seen.add(o);
        d.outputs.push({ name: o, type: "undefined", shape: null });
      }
  return d;
}

/** Deterministic numbers in 0..1. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const arrays: Partial<Record<ElementType, (n: number, r: () => number) => TypedArray>> = {
  float32: (n, r) => Float32Array.from({ length: n }, () => r() * 2 - 1),
  float64: (n, r) => Float64Array.from({ length: n }, () => r() * 2 - 1),
  // 0x3800..0x3bff are halves in 0.5..1.
  float16: (n, r) => Uint16Array.from({ length: n }, () => 0x3800 + Math.floor(r() * 1024)),
  uint8: (n, r) => Uint8Array.from({ length: n }, () => Math.floor(r() * 250)),
  int8: (n, r) => Int8Array.from({ length: n }, () => Math.floor(r() * 200) - 100),
  bool: (n, r) => Uint8Array.from({ length: n }, () => (r() < 0.5 ? 0 : 1)),
  int32: (n, r) => Int32Array.from({ length: n }, () => Math.floor(r() * 200)),
  int64: (n, r) => BigInt64Array.from({ length: n }, () => BigInt(Math.floor(r() * 10))),
};
export function randomArray(v: Value, dims: readonly number[], random: () => number): NDArray {
  const make = arrays[v.type];
  if (!make) throw new Error(`no random ${v.type}`);
  const size = dims.reduce((a, b) => a * b, 1);
  return { type: v.type, dims, data: make(size, random) };
}
/** Random feeds; `dims` says the shapes of inputs that do not say their own. */
export function randomFeeds(
  graph: Graph,
  dims: Readonly<Record<string, readonly number[]>> = {},
  seed = 1,
): Record<string, NDArray> {
  const random = randomFrom(seed);
  return Object.fromEntries(
    feeds(graph).map((v) => {
      const shape = dims[v.name] ?? (v.shape ?? []).map((d) => (typeof d === "number" ? d : 2));
      return [v.name, randomArray(v, shape, random)];
    }),
  );
}

/** A tensor as an array to feed. */
export function arrayOf(t: Tensor): NDArray {
  const types = {
    float32: Float32Array,
    float64: Float64Array,
    float16: Uint16Array,
    uint8: Uint8Array,
    int8: Int8Array,
    uint16: Uint16Array,
    int16: Int16Array,
    int32: Int32Array,
    uint32: Uint32Array,
    int64: BigInt64Array,
    uint64: BigUint64Array,
    bool: Uint8Array,
  } as const;
  if (t.strings) return { type: "string", dims: t.dims, data: t.strings.map((b) => new TextDecoder().decode(b)) };
  const Type = types[t.type as keyof typeof types];
  if (!Type) throw new Error(`cannot feed ${t.type}`);
  return { type: t.type, dims: t.dims, data: new Type(t.bytes.slice().buffer) };
}
