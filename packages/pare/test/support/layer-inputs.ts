/** A graph and feeds come in; out, what each matrix product with a constant reads when onnxruntime runs them, with its second moments. */
import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import type { NDArray } from "../../dist/engine/engine.js";
import { ortNode } from "../../dist/engine/ort-node.js";
import type { Graph } from "../../dist/graph/graph.js";
import { float32sOf } from "../../dist/graph/tensor.js";
import { expose } from "./expose.js";
import { sharedData } from "./shared.js";

export interface MatrixLayer {
  readonly name: string;
  /** [k n]. */
  readonly dims: readonly number[];
  readonly weight: Float32Array;
  /** X^T X [k k] over all rows of all feeds. */
  readonly moments: Float64Array;
}
export async function matrixLayers(
  graph: Graph,
  feeds: readonly Readonly<Record<string, NDArray>>[],
): Promise<MatrixLayer[]> {
  const nodes = graph.nodes.filter((n) => n.op === "MatMul" && graph.initializers.get(n.inputs[1]!)?.dims.length === 2);
  const read = new Set(nodes.map((n) => n.inputs[0]!));
  const session = await ortNode.load(expose(graph, (name) => read.has(name)));
  const moments = new Map<string, Float64Array>();
  for (const feed of feeds) {
    const outputs = await session.run(feed, [...read]);
    for (const [name, { dims, data }] of Object.entries(outputs)) {
      const k = dims.at(-1)!;
      const sum = moments.get(name) ?? new Float64Array(k * k);
      moments.set(name, sum);
      addMoments(sum, data as Float32Array, k);
    }
  }
  await session.release();
  return nodes.map((n) => {
    const t = graph.initializers.get(n.inputs[1]!)!;
    return { name: n.inputs[1]!, dims: t.dims, weight: float32sOf(t), moments: moments.get(n.inputs[0]!)! };
  });
}
/** Adds X^T X of rows of length k. */
export function addMoments(sum: Float64Array, x: Float32Array, k: number): void {
  for (let row = 0; row < x.length; row += k)
    for (let i = 0; i < k; i++) {
      const v = x[row + i]!;
      if (v !== 0) for (let j = 0; j < k; j++) sum[i * k + j]! += v * x[row + j]!;
    }
}
/** Of a product with the weight: energy of the error of `found` over energy of the output, in dB. */
export function outputSnrDb({ dims, weight, moments }: MatrixLayer, found: Float32Array): number {
  const [k, n] = dims as [number, number];
  let [signal, noise] = [0, 0];
  for (let o = 0; o < n; o++)
    for (let i = 0; i < k; i++)
      for (let j = 0; j < k; j++) {
        const h = moments[i * k + j]!;
        const [a, b] = [weight[i * n + o]!, weight[j * n + o]!];
        signal += a * h * b;
        noise += (a - found[i * n + o]!) * h * (b - found[j * n + o]!);
      }
  return 10 * Math.log10(signal / noise);
}

/** The first photographs of CIFAR-10's first training file [3 32 32], pixels in -1..1. `sharedData` must not be null. */
export function photographs(count: number): Float32Array[] {
  const records = brotliDecompressSync(readFileSync(`${sharedData}cifar10/data_batch_1.bin.br`));
  return Array.from({ length: count }, (_, i) =>
    Float32Array.from(records.subarray(i * 3073 + 1, (i + 1) * 3073), (p) => p / 127.5 - 1),
  );
}
/** A photograph [3 32 32] stretched to another size. */
export function stretched(photo: Float32Array, height: number, width: number): Float32Array {
  return Float32Array.from({ length: 3 * height * width }, (_, i) => {
    const [c, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    return photo[(c * 32 + Math.floor((y * 32) / height)) * 32 + Math.floor((x * 32) / width)]!;
  });
}
