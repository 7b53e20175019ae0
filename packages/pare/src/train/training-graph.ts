/** A network and a loss come in; the graph of one gradient run over a micro-batch goes out, with every shape fixed. */

import { infer } from "../analyze/infer.js";
import { type Parameter, parametersOf } from "../analyze/parameters.js";
import { differentiate } from "../autodiff/differentiate.js";
import * as losses from "../autodiff/losses.js";
import type { Dataset } from "../data/dataset.js";
import type { Fitting } from "../data/fit.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { type Draft, draft, type ElementType, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import type { DropoutMask, Statistic } from "../ops/record.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { rebatch } from "../passes/rebatch.js";
import type { LossFunction, LossKind, SoftTargets } from "./options.js";
import { softmaxBehind } from "./softmax-behind.js";
import { embedTeacher } from "./teacher.js";
import { trainingMode } from "./training-mode.js";

export interface TrainingGraphOptions {
  readonly inputs: readonly Fitting[];
  readonly microBatch: number;
  readonly loss: LossKind | LossFunction;
  /** What the data gives: class indices, or arrays of this shape per sample. */
  readonly targets: "labels" | readonly number[];
  readonly frozen?: readonly string[];
  readonly dropout?: Readonly<Record<string, number>>;
  /** Soft targets: a teacher that runs inside the graph, or its logits as a feed. */
  readonly soft?: Taught;
}

/** `data`: what an embedded teacher's inputs are matched with. */
export type Taught = SoftTargets & { readonly fed: boolean; readonly data: Dataset };

/** An input of the gradient run besides the weights. */
export interface Feed {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
}

export interface TrainingGraph {
  /** Inputs: `feeds`, dropout masks, `parameters`. Outputs: the loss, the gradients, the batch statistics. */
  readonly graph: Graph;
  readonly loss: string;
  /** The graph's own inputs, then the targets, then the soft targets. */
  readonly feeds: readonly Feed[];
  readonly parameters: readonly Parameter[];
  /** In the order of `parameters`. */
  readonly gradients: readonly string[];
  readonly statistics: readonly Statistic[];
  readonly dropouts: readonly (DropoutMask & { readonly dims: readonly number[] })[];
  /** Length of the last axis of the first output: the number of classes. */
  readonly classes: number;
}

/** Throws PareError for a graph that cannot be trained, with the node and the reason. */
export function trainingGraph(graph: Graph, o: TrainingGraphOptions): TrainingGraph {
  const raised = rebatch(raiseOpset(graph), o.microBatch);
  const mode = trainingMode(raised, o.dropout);
  // What the file says of inner names may hold for another batch only.
  const forBatch = (g: Graph): Draft => ({
    ...draft(g),
    values: new Map(),
    outputs: g.outputs.map((v) => ({ name: v.name, type: v.type, shape: null })),
    inputs: o.inputs.map((f) => ({ name: f.name, type: f.type, shape: [o.microBatch, ...f.dims] })),
  });
  const net = forBatch(mode.graph);
  // Shapes are those of inference: behind the first fed dropout mask, whose shape is sought here, nothing else would be known.
  const { types } = infer(forBatch(raised));
  const feedList: Feed[] = o.inputs.map((f) => ({ name: f.name, type: f.type, dims: [o.microBatch, ...f.dims] }));
  const dims = (name: string): readonly number[] => {
    const shape = types.get(name)?.shape;
    if (shape?.every((d) => typeof d === "number")) return shape as readonly number[];
    throw new PareError(`"${name}" has no fixed shape for a batch of ${o.microBatch}: this graph cannot be trained`);
  };
  const dropouts = mode.dropouts.map((d) => ({ ...d, dims: dims(d.of) }));
  for (const d of dropouts) net.inputs.push({ name: d.input, type: "float32", shape: d.dims });

  const outputDims = dims(net.outputs[0]?.name ?? "");
  if (outputDims[0] !== o.microBatch)
    throw new PareError(
      `output "${net.outputs[0]!.name}" has shape [${outputDims}] for a batch of ${o.microBatch}: its first axis should be the batch. Export the model with a symbolic batch axis`,
    );
  // Raising may add constants of its own.
  const candidates = parametersOf(net, new Set(o.frozen)).filter((p) => graph.initializers.has(p.name));
  if (candidates.length === 0)
    throw new PareError("nothing to train: the graph has no float32 initialisers that are not frozen");
  const { loss, targets, soft } = appendLoss(net, o, outputDims);
  feedList.push(targets, ...(soft ? [soft] : []));
  for (const f of feedList.slice(o.inputs.length)) net.inputs.push({ name: f.name, type: f.type, shape: f.dims });
  net.outputs = [];

  const result = differentiate(
    net,
    loss,
    candidates.map((p) => p.name),
  );
  const out = draft(result.graph);
  // A gradient that is a constant is the zero of a parameter that nothing leads to.
  const parameters = candidates.filter((p) => !out.initializers.has(result.gradients.get(p.name)!));
  if (parameters.length === 0) throw new PareError("nothing to train: the loss depends on no weight");
  const gradients = parameters.map((p) => result.gradients.get(p.name)!);
  for (const p of parameters) {
    out.initializers.delete(p.name);
    out.inputs.push({ name: p.name, type: "float32", shape: p.dims });
  }
  const typed = (name: string) => ({ ...out.values.get(name)!, name });
  out.outputs = [loss, ...gradients, ...mode.statistics.map((s) => s.batch)].map(typed);
  const classes = sizeOf(outputDims.slice(1));
  return { graph: out, loss, feeds: feedList, parameters, gradients, statistics: mode.statistics, dropouts, classes };
}

/** Appends the loss with its targets' inputs (not listed yet). */
function appendLoss(
  net: Draft,
  o: TrainingGraphOptions,
  dims: readonly number[],
): { loss: string; targets: Feed; soft: Feed | null } {
  const g = new Emitter(net);
  const classes = sizeOf(dims.slice(1));
  const rows = [o.microBatch, classes];
  const labelled = o.targets === "labels";
  const targets: Feed = {
    name: g.fresh("targets"),
    ...(labelled
      ? { type: "int64", dims: [o.microBatch] }
      : { type: "float32", dims: [o.microBatch, ...(o.targets as readonly number[])] }),
  };
  const outputs = net.outputs.map((v) => v.name);
  const flat = (name: string, from: readonly number[]): string => (from.length === 2 ? name : g.reshape(name, rows));
  const own = (): string => {
    if (typeof o.loss === "function") return o.loss(g, outputs, targets.name);
    if (!labelled && sizeOf(targets.dims) !== sizeOf(rows))
      throw new PareError(`the data's targets have shape [${targets.dims}], output "${outputs[0]}" has [${dims}]`);
    const wide = labelled || o.loss !== "cross-entropy" ? "" : flat(targets.name, targets.dims);
    switch (o.loss) {
      case "cross-entropy": {
        const logits = flat(logitsOf(net, outputs[0]!), dims);
        return labelled
          ? losses.crossEntropyOnLabels(g, logits, targets.name, classes)
          : losses.crossEntropyOnDistributions(g, logits, wide);
      }
      case "mse":
        return losses.meanSquaredError(
          g,
          flat(outputs[0]!, dims),
          labelled ? losses.oneHot(g, targets.name, classes) : flat(targets.name, targets.dims),
        );
      case "squared-hinge":
        return losses.squaredHinge(
          g,
          flat(outputs[0]!, dims),
          labelled ? losses.oneHot(g, targets.name, classes, -1, 1) : flat(targets.name, targets.dims),
        );
      default:
        throw new PareError(`unknown loss "${o.loss}": cross-entropy, mse, squared-hinge or a function`, "usage");
    }
  };
  if (!o.soft) return { loss: own(), targets, soft: null };
  const { temperature, weight, teacher, fed, data } = checkedSoft(o.soft);
  const soft: Feed = { name: g.fresh("soft_targets"), type: "float32", dims: rows };
  const taught = fed ? soft.name : g.reshape(embedTeacher(g, teacher, data, o.inputs, o.microBatch), rows);
  const term = losses.distillation(g, flat(logitsOf(net, outputs[0]!), dims), taught, temperature);
  const loss = g.op("Add", [g.op("Mul", [term, g.scalar(weight)]), g.op("Mul", [own(), g.scalar(1 - weight)])]);
  return { loss, targets, soft: fed ? soft : null };
}

function checkedSoft(soft: Taught): Taught {
  const { temperature, weight } = soft;
  if (!(temperature > 0)) throw new PareError(`soft targets: temperature ${temperature} should be above 0`, "usage");
  if (!(weight >= 0 && weight <= 1)) throw new PareError(`soft targets: weight ${weight} is outside 0..1`, "usage");
  return soft;
}

/** The logits behind an output: a Softmax at the end is left out, since the loss brings its own. */
const logitsOf = (graph: Pick<Graph, "nodes">, output: string): string => softmaxBehind(graph, output) ?? output;
