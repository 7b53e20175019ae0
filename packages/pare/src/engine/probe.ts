/** Finds out which block size onnxruntime's blocked convolutions have on this machine: an engine comes in, 16, 8 or null goes out. */
import { Emitter } from "../graph/emit.js";
import { emptyGraph, type Graph } from "../graph/graph.js";
import type { Engine, NDArray } from "./engine.js";
import { lowerBlocked } from "./lower-blocked.js";

const known = new WeakMap<Engine, Promise<number | null>>();

/** The block size by which a blocked convolution equals the plain one here; null where neither does. Asked once per process and engine. */
export function blockSize(engine: Engine): Promise<number | null> {
  let answer = known.get(engine);
  if (!answer) known.set(engine, (answer = probe(engine)));
  return answer;
}

async function probe(engine: Engine): Promise<number | null> {
  if (engine.name !== "onnxruntime-node") return null;
  const graph = example();
  const feeds = Object.fromEntries(graph.inputs.map((v) => [v.name, pattern(v.shape as number[])]));
  const wanted = await run(engine, graph, feeds);
  for (const block of [16, 8]) {
    const got = await run(engine, lowerBlocked(graph, block), feeds).catch(() => null);
    // A wrong block size is not reported: the numbers decide.
    if (got?.every((value, i) => Math.abs(value - wanted[i]!) < 1e-4)) return block;
  }
  return null;
}

/** Two convolutions with ReLU and pooling. Channels fill blocks of either size, so that a wrong one gives wrong numbers and no error. */
function example(): Graph {
  const graph = emptyGraph("probe", 21);
  const g = new Emitter(graph);
  const input = (name: string, shape: number[]) => graph.inputs.push({ name, type: "float32", shape });
  const value = (name: string, shape: number[]) => graph.values.set(name, { name, type: "float32", shape });
  input("x", [1, 32, 6, 6]);
  input("v", [32, 32, 3, 3]);
  input("w", [32, 32, 3, 3]);
  const convolved = g.op("Conv", ["x", "v"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
  value(convolved, [1, 32, 6, 6]);
  const rectified = g.op("Relu", [convolved]);
  value(rectified, [1, 32, 6, 6]);
  const pooled = g.op("MaxPool", [rectified], { kernel_shape: [2, 2], strides: [2, 2] });
  value(pooled, [1, 32, 3, 3]);
  const y = g.op("Conv", [pooled, "w"], { kernel_shape: [3, 3] });
  graph.outputs.push({ name: y, type: "float32", shape: [1, 32, 1, 1] });
  return graph;
}

/** Small numbers without a period that a wrong layout could hide behind. */
function pattern(dims: number[]): NDArray {
  const length = dims.reduce((p, d) => p * d, 1);
  const data = Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 101) / 101 - 0.45);
  return { type: "float32", dims, data };
}

async function run(engine: Engine, graph: Graph, feeds: Record<string, NDArray>): Promise<Float32Array> {
  const session = await engine.load(graph);
  try {
    return (await session.run(feeds))[graph.outputs[0]!.name]!.data as Float32Array;
  } finally {
    await session.release();
  }
}
