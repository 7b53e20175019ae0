/** Gradients of a network's outputs, sample by sample: a graph, data and the outputs' sensitivities enter; the weights' gradients are handed on. */
import { infer } from "../analyze/infer.js";
import { differentiate } from "../autodiff/differentiate.js";
import type { Batch, Field } from "../data/dataset.js";
import { fit } from "../data/fit.js";
import { Random } from "../data/random.js";
import { spread } from "../data/views.js";
import type { NDArray } from "../engine/engine.js";
import { Emitter, node } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { type Draft, draft, feeds, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { softmaxBehind } from "../train/softmax-behind.js";
import type { Question } from "./measure.js";

/** What sensitivities are made of. All values are [1, outputs]. */
export interface Outputs {
  readonly g: Emitter;
  /** The network's outputs: logits where the data has labels. */
  readonly z: string;
  readonly labelled: boolean;
  /** Random signs, others for each sample. */
  signs(): string;
  /** The sample's label as one 1 among zeros, or its target. */
  target(): string;
}
/** Emits dL/dz. It is held fixed while the network is differentiated. */
export type Sensitivity = (o: Outputs) => string;

/**
 * Calls `visit` with d(sum_k s_k z_k)/dw by initialiser for every sample, s the sensitivity; returns how many samples there were. Normalisation
 * runs as in inference. Throws PareError where the graph cannot be differentiated, and where a target is wanted and the data has none.
 */
export async function eachGradient(
  q: Question,
  sensitivity: Sensitivity,
  visit: (gradient: (name: string) => Float32Array) => void,
): Promise<number> {
  const { graph, engine, signal } = q;
  const data = q.data!;
  const fitted = fit(data, feeds(graph));
  const net = gradientGraph(graph, fitted.fields, q.names, data.classes !== undefined, sensitivity);
  const indices = spread(data.length, Math.min(q.samples, data.length));
  const session = await engine.load(net.graph);
  try {
    for (const index of indices) {
      signal?.throwIfAborted();
      const batch = fitted.batch([index]);
      const fed: Record<string, NDArray> = {};
      fitted.fields.forEach(({ name }, k) => {
        fed[name!] = batch.inputs[k]!;
      });
      if (net.signs !== null) fed[net.signs] = row(signsFor(index, net.width));
      if (net.target !== null) fed[net.target] = row(targetRow(batch, 0, net.width, data.name));
      const out = await session.run(fed, [...net.gradients.values()]);
      visit((name) => out[net.gradients.get(name)!]!.data as Float32Array);
    }
  } finally {
    await session.release();
  }
  return indices.length;
}

/** The sums over all samples of what `term` makes of gradients, divided by their number. */
export async function meanOver(
  q: Question,
  sensitivity: Sensitivity,
  term: (gradient: number, weight: number) => number,
  weights: (name: string) => Float32Array | null = () => null,
): Promise<Map<string, Float32Array>> {
  const sums = new Map(q.names.map((name) => [name, new Float64Array(sizeOf(q.graph.initializers.get(name)!.dims))]));
  const samples = await eachGradient(q, sensitivity, (gradient) => {
    for (const [name, sum] of sums) {
      const [g, w] = [gradient(name), weights(name)];
      for (let i = 0; i < sum.length; i++) sum[i]! += term(g[i]!, w ? w[i]! : 1);
    }
  });
  return new Map([...sums].map(([name, sum]) => [name, Float32Array.from(sum, (s) => s / samples)]));
}

interface GradientGraph {
  readonly graph: Graph;
  readonly signs: string | null;
  readonly target: string | null;
  /** Number of outputs of one sample. */
  readonly width: number;
  readonly gradients: ReadonlyMap<string, string>;
}

function gradientGraph(
  graph: Graph,
  inputs: readonly Field[],
  names: readonly string[],
  labelled: boolean,
  sensitivity: Sensitivity,
): GradientGraph {
  const net: Draft = { ...draft(raiseOpset(graph)), values: new Map() };
  net.inputs = inputs.map((f) => ({ name: f.name!, type: f.type, shape: [1, ...f.dims] }));
  const output = net.outputs[0]!.name;
  const logits = (labelled && softmaxBehind(net, output)) || output;
  net.outputs = [];
  const shape = infer(net).types.get(logits)?.shape;
  if (!shape?.every((d) => typeof d === "number"))
    throw new PareError(
      `"${logits}" has no fixed shape for one sample: the importance of its weights cannot be measured`,
    );
  const width = sizeOf(shape as number[]);
  const g = new Emitter(net);
  const held = g.fresh("sensitivity");
  net.inputs.push({ name: held, type: "float32", shape: [1, width] });
  const z = g.reshape(logits, [1, width]);
  const loss = g.reduceSum(g.op("Mul", [z, held]), [0, 1]);
  const { graph: differentiated, gradients } = differentiate(net, loss, names);

  // Only now does the sensitivity become a function of the outputs: the gradient must not see that.
  const out = draft(differentiated);
  out.inputs = out.inputs.filter((v) => v.name !== held);
  const at = out.nodes.findIndex((n) => n.outputs.includes(z)) + 1;
  const rest = out.nodes.splice(at);
  const s = new Emitter(out, "float32", "sensitivity_");
  const asked: { signs: string | null; target: string | null } = { signs: null, target: null };
  const input = (key: "signs" | "target") => (): string => {
    if (asked[key] === null) {
      asked[key] = s.fresh(key);
      out.inputs.push({ name: asked[key], type: "float32", shape: [1, width] });
    }
    return asked[key];
  };
  const made = sensitivity({ g: s, z, labelled, signs: input("signs"), target: input("target") });
  s.push(node("Identity", [made], [held]));
  out.nodes.push(...rest);
  return { graph: out, ...asked, width, gradients };
}

const row = (data: Float32Array): NDArray => ({ type: "float32", dims: [1, data.length], data });

function signsFor(sample: number, width: number): Float32Array {
  const random = new Random(sample, width);
  return Float32Array.from({ length: width }, () => (random.uint32() & 1 ? 1 : -1));
}
/** The target of row i of a batch: one 1 among zeros for a label. Throws PareError where there is none, and where it does not fit. */
export function targetRow({ labels, targets }: Batch, i: number, width: number, name: string): Float32Array {
  if (labels) {
    const label = labels[i]!;
    if (!(label >= 0 && label < width))
      throw new PareError(`data "${name}": label ${label} is outside the model's classes 0..${width - 1}`);
    return Float32Array.from({ length: width }, (_, k) => (k === label ? 1 : 0));
  }
  if (!targets) throw new PareError(`data "${name}" has neither labels nor targets: this importance needs them`);
  const size = sizeOf(targets.dims.slice(1));
  if (size !== width) throw new PareError(`data "${name}": a target has ${size} values, the model's output ${width}`);
  return Float32Array.from((targets.data as Float32Array).subarray(i * size, (i + 1) * size));
}

/** dL/dz of the data's own loss: cross-entropy for labels, half the squared error otherwise. */
export const lossSensitivity: Sensitivity = ({ g, z, labelled, target }) =>
  g.op("Sub", [labelled ? g.op("Softmax", [z], { axis: -1 }) : z, target()]);
