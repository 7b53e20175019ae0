/**
 * AdaRound: a layer, the grid of its weight and samples of what it reads and should give come in; codes go out that are rounded up or down, whichever
 * serves the outputs. Which way is learned: the layer with soft rounding is a training graph like any other.
 *
 * Nagel, Amjad, van Baalen, Louizos, Blankevoort: Up or Down? Adaptive Rounding for Post-Training Quantization, ICML 2020.
 *
 * Differs from the paper:
 * - The error is taken relative to that of nearest rounding, and the regulariser (equation 24) as a mean, so that one weight between them suits all
 *   layers; it grows with beta's fall instead of standing still.
 * - 500 steps of rate 0.05 instead of 10,000 of 0.001: layers are small here, and time is not to spare.
 * - Where the learned codes are no better than the nearest on the samples, the nearest stay.
 */
import { differentiate } from "../../autodiff/differentiate.js";
import { Random } from "../../data/random.js";
import type { Engine, NDArray, Session } from "../../engine/engine.js";
import { Emitter } from "../../graph/emit.js";
import { PareError } from "../../graph/error.js";
import { type Draft, emptyGraph, type Graph, type Node, type Tensor } from "../../graph/graph.js";
import { float32sOf, floats, sizeOf } from "../../graph/tensor.js";
import { adam } from "../../optimizers/adam.js";
import { dequantizeTensor, groupsOf, quantizeTensor } from "../../quantization/grid.js";
import type { Grid, QuantizedTensor } from "../../quantization/plan.js";

export interface RoundedLayer {
  /** A contraction of opset 13 or later. */
  readonly node: Node;
  /** Its constant inputs by name: the weight, perhaps a bias. */
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Which input is the weight; the other of the first two is the data. */
  readonly weight: number;
  /** What follows it and is part of the target: a rectifier of one input. */
  readonly activation?: Node;
}
/** Arrays of one shape each: `x` is what the layer reads (from quantized layers, best), `y` what it gives in float, after the activation. */
export interface LayerSample {
  readonly x: NDArray;
  readonly y: NDArray;
}
export interface AdaRoundOptions {
  readonly engine: Engine;
  readonly steps?: number;
  /** Samples per step; 8 unless given. */
  readonly batch?: number;
  readonly rate?: number;
  readonly seed?: number;
  /** Learning stops there; the result then depends on the machine. No limit unless given. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
}

/** h(V) = clip(sigmoid(V) (zeta - gamma) + gamma, 0, 1). */
const zeta = 1.1;
const gamma = -0.1;
/** Of all steps, those without the regulariser; beta falls over the others. */
const warmUp = 0.2;
const [firstBeta, lastBeta] = [20, 2];
const regularity = 1;
/** The state of learning: V and Adam's two moments. */
const parts = ["v", "first", "second"] as const;

/** Throws PareError where there are no samples or their shapes differ. */
export async function adaround(
  layer: RoundedLayer,
  grid: Grid,
  samples: readonly LayerSample[],
  options: AdaRoundOptions,
): Promise<QuantizedTensor> {
  checkShapes(layer, samples);
  const tensor = layer.constants.get(layer.node.inputs[layer.weight]!)!;
  const values = float32sOf(tensor);
  const nearest = quantizeTensor(values, tensor.dims, grid);
  const before = await errorOf(layer, nearest, samples, options.engine);
  if (before === 0) return nearest;
  const learned = await learn(layer, values, nearest, samples, before, options);
  return (await errorOf(layer, learned, samples, options.engine)) < before ? learned : nearest;
}

function checkShapes({ node }: RoundedLayer, samples: readonly LayerSample[]): void {
  const [first] = samples;
  if (!first) throw new PareError(`AdaRound of ${node.op} "${node.outputs[0]}": there are no samples`);
  const odd = samples.find((s) => `${s.x.dims}` !== `${first.x.dims}` || `${s.y.dims}` !== `${first.y.dims}`);
  if (odd)
    throw new PareError(
      `AdaRound of ${node.op} "${node.outputs[0]}": samples must have one shape, got [${first.x.dims}] and [${odd.x.dims}]`,
    );
}

/** What a weight is made of, element by element, in codes without their zero point: the lower of its two codes, its share of the upper one to begin with, scales, bounds. */
function softened(values: Float32Array, { dims, grid }: QuantizedTensor): Soft & { share: Float32Array } {
  const { of } = groupsOf(dims, grid);
  const scale = values.map((_, i) => grid.scale[of(i)]!);
  const low = values.map((_, i) => grid.range[0] - grid.zeroPoint[of(i)]!);
  const high = values.map((_, i) => grid.range[1] - grid.zeroPoint[of(i)]!);
  const floor = values.map((w, i) => Math.min(high[i]!, Math.max(low[i]!, Math.floor(w / scale[i]!))));
  const share = values.map((w, i) => Math.min(0.99, Math.max(0.01, w / scale[i]! - floor[i]!)));
  return { dims, scale, low, high, floor, share };
}

async function learn(
  layer: RoundedLayer,
  values: Float32Array,
  nearest: QuantizedTensor,
  samples: readonly LayerSample[],
  error: number,
  options: AdaRoundOptions,
): Promise<QuantizedTensor> {
  const { dims, grid } = nearest;
  const batch = Math.min(options.batch ?? 8, samples.length);
  const soft = softened(values, nearest);
  const { graph, next } = stepGraph(layer, soft, samples[0]!, batch, error);
  const session = await options.engine.load(graph);
  try {
    const v = soft.share.map((h) => -Math.log((zeta - gamma) / (h - gamma) - 1));
    const state = new Map(
      [v, new Float32Array(v.length), new Float32Array(v.length)].map((x, k) => [parts[k]!, array(x, dims)]),
    );
    await steps(session, state, next, samples, batch, options);
    const codes = nearest.codes.slice();
    const { of } = groupsOf(dims, grid);
    v.forEach((x, i) => {
      // Equation 23.
      const h = (zeta - gamma) / (1 + Math.exp(-x)) + gamma;
      codes[i] = Math.min(soft.high[i]!, soft.floor[i]! + (h >= 0.5 ? 1 : 0)) + grid.zeroPoint[of(i)]!;
    });
    return { dims, grid, codes };
  } finally {
    await session.release();
  }
}

/** Runs the steps; the arrays of `state` hold the result. */
async function steps(
  session: Session,
  state: ReadonlyMap<string, NDArray>,
  next: ReadonlyMap<string, string>,
  samples: readonly LayerSample[],
  batch: number,
  options: AdaRoundOptions,
): Promise<void> {
  const random = new Random(options.seed ?? 0);
  const total = options.steps ?? 500;
  const scalars = adam({}).scalars;
  const started = performance.now();
  for (let t = 1; t <= total; t++) {
    options.signal?.throwIfAborted();
    if (options.limitMs !== undefined && performance.now() - started > options.limitMs) break;
    const chosen = Array.from({ length: batch }, () => samples[random.below(samples.length)]!);
    const progress = Math.max(0, (t / total - warmUp) / (1 - warmUp));
    const [rate, correction] = scalars(t, options.rate ?? 0.05);
    const feeds: Record<string, NDArray> = {
      ...Object.fromEntries(state),
      x: stacked(chosen.map((s) => s.x)),
      y: stacked(chosen.map((s) => s.y)),
      beta: scalar(lastBeta + (firstBeta - lastBeta) * (1 - progress)),
      weight: scalar(regularity * progress),
      rate: scalar(rate!),
      correction: scalar(correction!),
    };
    const results = await session.run(feeds, [...next.values()]);
    for (const [name, output] of next)
      (state.get(name)!.data as Float32Array).set(results[output]!.data as Float32Array);
  }
}

interface Soft {
  readonly dims: readonly number[];
  readonly scale: Float32Array;
  readonly low: Float32Array;
  readonly high: Float32Array;
  readonly floor: Float32Array;
}
/** One step of Adam on equation 25; `next`: output that holds each part of the state afterwards. */
function stepGraph(
  layer: RoundedLayer,
  w: Soft,
  sample: LayerSample,
  batch: number,
  error: number,
): { graph: Graph; next: ReadonlyMap<string, string> } {
  const d = layerGraph(layer, sample, batch);
  for (const name of parts) d.inputs.push({ name, type: "float32", shape: w.dims });
  for (const name of ["beta", "weight", "rate", "correction"]) d.inputs.push({ name, type: "float32", shape: [] });
  const g = new Emitter(d);
  const constant = (values: Float32Array) => g.constant(floats(values, w.dims));
  const mul = (a: string, b: string) => g.op("Mul", [a, b]);
  const stretched = g.op("Add", [mul(g.op("Sigmoid", ["v"]), g.scalar(zeta - gamma)), g.scalar(gamma)]);
  const h = g.op("Clip", [stretched, g.scalar(0), g.scalar(1)]);
  // Equation 22, with bounds that differ by element where zero points do.
  const codes = g.op("Min", [g.op("Max", [g.op("Add", [constant(w.floor), h]), constant(w.low)]), constant(w.high)]);
  const found = withWeight(g, layer, mul(codes, constant(w.scale)));
  const off = g.op("Sub", [found, "y"]);
  const rank = sample.y.dims.length;
  const all = (x: string, r: number) =>
    g.op("ReduceMean", [x, g.ints(Array.from({ length: r }, (_, i) => i))], { keepdims: 0 });
  const far = g.op("Abs", [g.op("Sub", [mul(h, g.scalar(2)), g.scalar(1)])]);
  const open = g.op("Sub", [g.scalar(1), all(g.op("Pow", [far, "beta"]), w.dims.length)]);
  const loss = g.op("Add", [mul(all(mul(off, off), rank), g.scalar(1 / error)), mul(open, "weight")]);
  d.outputs = [];
  const trained = differentiate(d, loss, ["v"]);
  const out = {
    ...trained.graph,
    nodes: [...trained.graph.nodes],
    initializers: new Map(trained.graph.initializers),
  } as Draft;
  const e = new Emitter(out, "float32", "adam/");
  const update = adam({}).emit(e, trained.gradients.get("v")!, ["first", "second"], ["rate", "correction"]);
  const next = new Map([
    ["v", e.op("Sub", ["v", update.change])],
    ["first", update.slots[0]!],
    ["second", update.slots[1]!],
  ]);
  out.outputs = [...next.values()].map((name) => ({ name, type: "float32", shape: w.dims }));
  return { graph: out, next };
}

/** A graph with inputs x and y of `batch` samples, and the layer's constants. */
function layerGraph({ node, constants, weight }: RoundedLayer, { x, y }: LayerSample, batch: number): Draft {
  const d = emptyGraph(`AdaRound of ${node.outputs[0]}`, 21);
  for (const [name, { dims }] of [
    ["x", x],
    ["y", y],
  ] as const)
    d.inputs.push({ name, type: "float32", shape: [dims[0]! * batch, ...dims.slice(1)] });
  node.inputs.forEach((name, i) => {
    const t = constants.get(name);
    if (t && i !== weight) d.initializers.set(`constant/${name}`, t);
  });
  return d;
}
/** The layer's output with `weight` in the place of its own. */
function withWeight(g: Emitter, { node, constants, weight: at, activation }: RoundedLayer, weight: string): string {
  const inputs = node.inputs.map((name, i) =>
    i === at ? weight : constants.has(name) ? `constant/${name}` : name && "x",
  );
  const output = g.op(node.op, inputs, node.attributes, node.domain);
  return activation ? g.op(activation.op, [output], activation.attributes, activation.domain) : output;
}

/** Mean squared error of the outputs over all samples. */
async function errorOf(
  layer: RoundedLayer,
  q: QuantizedTensor,
  samples: readonly LayerSample[],
  engine: Engine,
): Promise<number> {
  const d = layerGraph(layer, samples[0]!, 1);
  const g = new Emitter(d);
  const name = withWeight(g, layer, g.constant(floats(dequantizeTensor(q), q.dims)));
  d.inputs = d.inputs.filter((v) => v.name === "x");
  d.outputs = [{ name, type: "float32", shape: samples[0]!.y.dims }];
  const session = await engine.load(d);
  let sum = 0;
  try {
    for (const { x, y } of samples) {
      const found = (await session.run({ x }))[name]!.data as Float32Array;
      (y.data as Float32Array).forEach((v, i) => {
        sum += (v - found[i]!) ** 2;
      });
    }
  } finally {
    await session.release();
  }
  return sum / (samples.length * sizeOf(samples[0]!.y.dims));
}

const array = (data: Float32Array, dims: readonly number[]): NDArray => ({ type: "float32", dims, data });
const scalar = (value: number): NDArray => array(Float32Array.of(value), []);
function stacked(list: readonly NDArray[]): NDArray {
  const [first] = list;
  const size = sizeOf(first!.dims);
  const data = new Float32Array(size * list.length);
  list.forEach((a, i) => {
    data.set(a.data as Float32Array, i * size);
  });
  return array(data, [first!.dims[0]! * list.length, ...first!.dims.slice(1)]);
}
