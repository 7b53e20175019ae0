/** Speed against sparsity in one run: a 3 x 3 convolution and a dense layer go in; bench/results/sparsity-speed.json and docs/sparsity-speed.svg come out. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import type { NDArray } from "../../packages/pare/dist/engine/engine.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { Emitter } from "../../packages/pare/dist/graph/emit.js";
import { emptyGraph, type Graph } from "../../packages/pare/dist/graph/graph.js";
import { floats } from "../../packages/pare/dist/graph/tensor.js";
import { type Csr, csr, multiply, unfold } from "./sparse.js";
import { type Layer, picture, type Results } from "./table.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sparsities = [0, 0.25, 0.5, 0.75, 0.875, 0.94, 0.97];
const runs = 25;

interface Shape {
  readonly layer: string;
  readonly channels: number;
  /** Image side of a 3 x 3 convolution; null for a dense layer on a batch. */
  readonly side: number | null;
  readonly batch: number;
}
const shapes: readonly Shape[] = [
  { layer: "3x3 convolution, 64 channels, 28x28", channels: 64, side: 28, batch: 1 },
  { layer: "dense layer, 1024 x 1024, batch 32", channels: 1024, side: null, batch: 32 },
];

let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
};
const noise = (length: number) => Float32Array.from({ length }, random);

function layer(weight: Float32Array, { side, batch }: Shape, channels: number): Graph {
  const graph = emptyGraph("layer", 18);
  const g = new Emitter(graph);
  const image = side === null ? null : [1, channels, side, side];
  graph.inputs.push({ name: "x", type: "float32", shape: image ?? [batch, channels] });
  const y = image
    ? g.op("Conv", ["x", g.constant(floats(weight, [channels, channels, 3, 3]))], { pads: [1, 1, 1, 1] })
    : g.op("Gemm", ["x", g.constant(floats(weight, [channels, channels]))], { transB: 1 });
  graph.outputs.push({ name: y, type: "float32", shape: null });
  return graph;
}
/** The fastest: what other processes of the machine take is not the layer's. */
const fastest = (values: readonly number[]): number => Math.min(...values);

/** Rows of x by column of the weights, as the product reads them. */
function productOf(weights: Csr, shape: Shape, x: Float32Array): { run: () => void; y: Float32Array } {
  const { channels, side, batch } = shape;
  const n = side === null ? batch : side * side;
  const y = new Float32Array(channels * n);
  if (side === null) return { run: () => multiply(weights, x, n, y), y };
  const patches = new Float32Array(channels * 9 * n);
  return {
    y,
    run: () => {
      unfold(x, channels, side, side, patches);
      multiply(weights, patches, n, y);
    },
  };
}

async function measure(shape: Shape): Promise<Layer> {
  const { channels, side, batch } = shape;
  const taps = side === null ? 1 : 9;
  const whole = noise(channels * channels * taps);
  const array = (data: Float32Array, width: number): NDArray => ({
    type: "float32",
    dims: side === null ? [batch, width] : [1, width, side, side],
    data,
  });
  const points: Layer["points"][number][] = [];
  for (const sparsity of sparsities) {
    const weights = csr(whole, channels, 1 - sparsity);
    const zeroed = new Float32Array(whole.length);
    for (let r = 0; r < channels; r++)
      for (let k = weights.start[r]!; k < weights.start[r + 1]!; k++)
        zeroed[r * channels * taps + weights.column[k]!] = weights.value[k]!;
    // Both sides of the layer narrow, as in a network; whole multiples of 8 channels.
    const width = Math.max(8, 8 * Math.round((channels * Math.sqrt(1 - sparsity)) / 8));
    const positions = side === null ? batch : side * side;
    const x = noise(channels * positions);
    // The dense layer's x is [batch, channels]; the product reads [channels, batch].
    const turned = side === null ? x.map((_, i) => x[(i % batch) * channels + Math.floor(i / batch)]!) : x;
    const product = productOf(weights, shape, turned);
    const dense = await ortNode.load(layer(zeroed, shape, channels), { threads: 1 });
    const narrow = await ortNode.load(layer(noise(width * width * taps), shape, width), { threads: 1 });
    const [feeds, fewer] = [{ x: array(x, channels) }, { x: array(noise(width * positions), width) }];
    const found = Object.values(await dense.run(feeds))[0]!.data as Float32Array;
    product.run();
    for (let i = 0; i < found.length; i++) {
      const mine = product.y[side === null ? (i % channels) * batch + Math.floor(i / channels) : i]!;
      if (!(Math.abs(mine - found[i]!) <= 1e-2)) throw new Error(`the CSR product is wrong: ${mine}, not ${found[i]}`);
    }
    const times: [number[], number[], number[]] = [[], [], []];
    for (let run = -5; run < runs; run++)
      for (const [k, work] of [() => dense.run(feeds), product.run, () => narrow.run(fewer)].entries()) {
        // Once untimed: what ran before has filled the caches.
        await work();
        const start = performance.now();
        await work();
        if (run >= 0) times[k]!.push(performance.now() - start);
      }
    await Promise.all([dense.release(), narrow.release()]);
    const [denseMs, csrMs, structuredMs] = times.map(fastest) as [number, number, number];
    points.push({ sparsity, denseMs, csrMs, structuredMs, channels: width });
    console.log(`${shape.layer} ${sparsity}: ${denseMs.toFixed(3)} ${csrMs.toFixed(3)} ${structuredMs.toFixed(3)} ms`);
  }
  return { layer: shape.layer, points };
}

const layers: Layer[] = [];
for (const shape of shapes) layers.push(await measure(shape));
const results: Results = { machine: cpus()[0]?.model.trim() || "CPU", layers };
writeFileSync(`${root}bench/results/sparsity-speed.json`, `${JSON.stringify(results, null, 2)}\n`);
writeFileSync(`${root}docs/sparsity-speed.svg`, picture(results));
