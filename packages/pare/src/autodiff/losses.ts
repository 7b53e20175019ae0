/** Losses as nodes: a network's outputs and targets come in by name, the name of one float, the mean over the batch, goes out. */
import type { Emitter } from "../graph/emit.js";
import { floats } from "../graph/tensor.js";

/** A user's loss: emits nodes and returns the name of a scalar, the mean over the batch. `targets`: labels (int64 [b]) or distributions/targets ([b, ...]). */
export type LossFunction = (g: Emitter, outputs: readonly string[], targets: string) => string;

const mean = (g: Emitter, x: string): string => g.op("ReduceMean", [x], { keepdims: 0 });
/** Labels int64 [b] as rows [b, classes] of `off` with one `on`. */
export function oneHot(g: Emitter, labels: string, classes: number, off = 0, on = 1): string {
  const pair = g.constant(floats([off, on], [2]));
  const rows = g.op("OneHot", [labels, g.ints([classes]), pair], { axis: -1 });
  return g.floatType === "float32" ? rows : g.cast(rows, g.floatType);
}

/** -sum of p log q per sample, meaned: logits [b, c] against distributions [b, c]. */
export function crossEntropyOnDistributions(g: Emitter, logits: string, distributions: string): string {
  const products = g.op("Mul", [distributions, g.op("LogSoftmax", [logits], { axis: -1 })]);
  return g.op("Neg", [mean(g, g.reduceSum(products, [1]))]);
}
/** Softmax cross-entropy: logits [b, classes] against labels int64 [b]. */
export const crossEntropyOnLabels = (g: Emitter, logits: string, labels: string, classes: number): string =>
  crossEntropyOnDistributions(g, logits, oneHot(g, labels, classes));

/** Mean of the squared differences over all elements. */
export function meanSquaredError(g: Emitter, outputs: string, targets: string): string {
  const difference = g.op("Sub", [outputs, targets]);
  return mean(g, g.op("Mul", [difference, difference]));
}

/** Mean over all elements of max(0, 1 - t y)^2 with t = -1 or 1 (Courbariaux, Bengio, David: BinaryConnect, 2015). */
export function squaredHinge(g: Emitter, outputs: string, signs: string): string {
  const margin = g.op("Relu", [g.op("Sub", [g.scalar(1), g.op("Mul", [signs, outputs])])]);
  return mean(g, g.op("Mul", [margin, margin]));
}

/**
 * T^2 KL(softmax(teacher / T) || softmax(student / T)), meaned over the batch; both [b, c].
 * Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015, section 2.
 */
export function distillation(g: Emitter, student: string, teacher: string, temperature: number): string {
  const logOf = (x: string): string =>
    g.op("LogSoftmax", [temperature === 1 ? x : g.op("Mul", [x, g.scalar(1 / temperature)])], { axis: -1 });
  const soft = logOf(teacher);
  const products = g.op("Mul", [g.op("Exp", [soft]), g.op("Sub", [soft, logOf(student)])]);
  return g.op("Mul", [mean(g, g.reduceSum(products, [1])), g.scalar(temperature ** 2)]);
}
