/** Second moments of a layer: a graph, one of its layers and what it should give enter; X X^T, Y X^T and the sums over the data leave. */
import type { Layer } from "../analyze/layers.js";
import type { Dataset } from "../data/dataset.js";
import type { Engine } from "../engine/engine.js";
import type { Emitter } from "../graph/emit.js";
import type { Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { unrolled } from "../importance/unroll.js";
import type { Unrolled } from "../ops/record.js";
import type { Advance } from "./advance.js";

/** Sums over samples and positions, of a layer Y [g o n] = W [g o k] X [g k n]. */
export interface Moments {
  readonly as: Unrolled;
  /** n, over all samples. */
  readonly count: number;
  /** [g k k]. */
  readonly xx: Float64Array;
  /** [g o k]. */
  readonly yx: Float64Array;
  /** [g k], [g o]: sums. */
  readonly x: Float64Array;
  readonly y: Float64Array;
  /** [g o]: sums of squares. */
  readonly yy: Float64Array;
}
export interface Calibration {
  readonly data: Dataset;
  /** How many are read, evenly spread. */
  readonly samples: number;
  readonly engine: Engine;
  readonly signal?: AbortSignal | undefined;
}

/** Positions enough for k inputs, over all samples; of more, evenly spaced ones are taken. */
const enoughPositions = (k: number): number => Math.max(2 ** 12, 32 * k);

/**
 * `layer`: of `graph`, whose weights `open` are not settled. `wanted` emits what the layer should give, shaped as its output. null for a layer that
 * is no matrix product.
 */
export async function momentsOf(
  advance: Advance,
  graph: Graph,
  layer: Layer,
  open: ReadonlySet<string>,
  wanted: (g: Emitter) => string,
): Promise<Moments | null> {
  const as = unrolled(layer);
  if (!as) return null;
  const sums: Float64Array[] = [];
  const shape = layer.site.y[0]?.shape?.slice(1).filter((_, d) => d + 1 !== layer.channelAxis) ?? [""];
  const positions = shape.every((d) => typeof d === "number") ? sizeOf(shape) : 1;
  const every = Math.max(1, Math.floor((positions * advance.length) / enoughPositions(as.inputs)));
  const emit = (g: Emitter): string[] => {
    const [x, y] = [as.x(g, layer.node.inputs[0]!, every), as.y(g, wanted(g), every)];
    const columns = g.transpose(x, [0, 2, 1]);
    return [
      g.op("MatMul", [x, columns]),
      g.op("MatMul", [y, columns]),
      g.reduceSum(x, [2]),
      g.reduceSum(y, [2]),
      g.op("ReduceSumSquare", [y, g.ints([2])], { keepdims: 0 }),
      g.cast(g.op("Shape", [x], { start: 2 }), "float32"),
    ];
  };
  await advance.observe(graph, open, emit, (values) => {
    values.forEach(({ data }, k) => {
      accumulate((sums[k] ??= new Float64Array(data.length)), data as Float32Array);
    });
  });
  return { as, count: sums[5]![0]!, xx: sums[0]!, yx: sums[1]!, x: sums[2]!, y: sums[3]!, yy: sums[4]! };
}
function accumulate(to: Float64Array, from: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i]! += from[i]!;
}
