/** Solves for a layer's weights: second moments of its inputs and of what it should give enter; the graph with the fitted layer leaves. */
import { type Draft, draft, type Graph } from "../graph/graph.js";
import { float32sOf, floats } from "../graph/tensor.js";
import { placeIn } from "../importance/unroll.js";
import { cholesky, solveRows } from "../linear/cholesky.js";
import { addScaled, dot, matrix, timesVector } from "../linear/matrix.js";
import { biasOf, type Chain } from "./layer-target.js";
import type { Moments } from "./moments.js";

export interface RefitOptions {
  /** Weight of staying as it is, times the mean power of the layer's inputs. */
  readonly ridge: number;
  /** By element of the weight: 0 stays 0. */
  readonly mask?: Uint8Array;
}

/** The normal equations of one group of a layer, about the means where a bias is free: A [k k] and, row by row, the right-hand sides. */
export interface Normal {
  readonly a: Float64Array<ArrayBuffer>;
  readonly rightSide: (row: number) => Float64Array;
  /** Of the inputs; zeros where no bias is free. */
  readonly mean: Float64Array;
}
export function normalOf(m: Moments, group: number, free: boolean): Normal {
  const { inputs: k } = m.as;
  const a = m.xx.slice(group * k * k, (group + 1) * k * k);
  const mean = m.x.slice(group * k, (group + 1) * k).map((v) => (free ? v / m.count : 0));
  if (free) for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) a[i * k + j]! -= m.count * mean[i]! * mean[j]!;
  const rightSide = (row: number): Float64Array =>
    m.yx.slice(row * k, (row + 1) * k).map((v, i) => v - m.y[row]! * mean[i]!);
  return { a, rightSide, mean };
}
/** Mean of the diagonal; 1 where the inputs are all zero. */
export function meanPower(a: Float64Array, k: number): number {
  let trace = 0;
  for (let i = 0; i < k; i++) trace += a[i * k + i]!;
  return trace / k || 1;
}

/** A bias can be fitted too: the layer's own, or the mean of the normalisation behind it. */
export const hasFreeBias = (graph: Graph, { layer, norm }: Chain): boolean =>
  norm !== null || biasOf(graph, layer) !== null;

/** The graph with the layer's weight, and its bias or the normalisation's mean behind it, solved for. */
export function refitted(graph: Graph, chain: Chain, m: Moments, { ridge, mask }: RefitOptions): Graph {
  const { layer } = chain;
  const { groups, inputs: k, outputs: o } = m.as;
  const old = float32sOf(graph.initializers.get(layer.weight)!);
  const [place, values, free] = [placeIn(m.as), old.slice(), hasFreeBias(graph, chain)];
  const biases = new Float64Array(groups * o);
  for (let g = 0; g < groups; g++) {
    const { a, rightSide, mean } = normalOf(m, g, free);
    const stay = ridge * meanPower(a, k);
    for (let i = 0; i < k; i++) a[i * k + i]! += stay;
    const sides = matrix(o, k);
    const before = matrix(o, k);
    for (let r = 0; r < o; r++)
      rightSide(g * o + r).forEach((v, i) => {
        before.data[r * k + i] = old[place(g, r, i)]!;
        sides.data[r * k + i] = v + stay * before.data[r * k + i]!;
      });
    const solved = mask ? before : solveRows(cholesky(matrix(k, k, a)), sides);
    for (let r = 0; r < o; r++) {
      const row = solved.data.subarray(r * k, (r + 1) * k);
      if (mask) descend(a, sides.data.subarray(r * k, (r + 1) * k), row, (i) => mask[place(g, r, i)] === 1);
      row.forEach((v, i) => {
        values[place(g, r, i)] = v;
      });
      biases[g * o + r] = m.y[g * o + r]! / m.count - dot(row, mean);
    }
  }
  return withFit(graph, chain, values, free ? biases : null);
}

/** More steps fit the samples better, not the network: those to come and fresh images gain nothing from them. */
const mostSteps = 4;
/** The residual that is small enough, over the first one. */
const enough = 1e-5;

/** Conjugate gradients, scaled by the diagonal: x in place, with A x = b among the places that `kept` allows and 0 elsewhere. */
function descend(a: Float64Array, b: Float64Array, x: Float64Array, kept: (i: number) => boolean): void {
  const k = b.length;
  const places = Int32Array.from([...b.keys()].filter(kept));
  const n = places.length;
  const part = matrix(n, n);
  for (let i = 0; i < n; i++) {
    const from = places[i]! * k;
    for (let j = 0; j < n; j++) part.data[i * n + j] = a[from + places[j]!]!;
  }
  const y = Float64Array.from(places, (i) => x[i]!);
  const scaled = (v: Float64Array) => v.map((e, i) => e / part.data[i * n + i]!);
  const image = new Float64Array(n);
  timesVector(part, y, image);
  const residual = Float64Array.from(places, (i, j) => b[i]! - image[j]!);
  let direction = scaled(residual);
  let power = dot(residual, direction);
  const start = power;
  for (let step = 0; step < mostSteps && power > enough ** 2 * start; step++) {
    timesVector(part, direction, image);
    const length = power / dot(direction, image);
    addScaled(y, length, direction);
    addScaled(residual, -length, image);
    const next = scaled(residual);
    const left = dot(residual, next);
    addScaled(next, left / power, direction);
    direction = next;
    power = left;
  }
  x.fill(0);
  places.forEach((i, j) => {
    x[i] = y[j]!;
  });
}

/** The graph with these values of the layer's weight, and these biases on top of the product. */
export function withFit(
  graph: Graph,
  { layer, norm }: Chain,
  values: Float32Array,
  biases: Float64Array | null,
): Graph {
  const out: Draft = draft(graph);
  const put = (name: string, v: Float32Array) =>
    out.initializers.set(name, floats(v, graph.initializers.get(name)!.dims));
  put(layer.weight, values);
  const bias = biasOf(graph, layer);
  if (bias && biases) put(bias, Float32Array.from(biases));
  else if (norm && biases) {
    const [mean, old] = [norm.inputs[3]!, float32sOf(graph.initializers.get(norm.inputs[3]!)!)];
    put(
      mean,
      old.map((v, c) => v - biases[c]!),
    );
  }
  return out;
}
