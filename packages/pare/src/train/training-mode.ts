/** A graph that infers comes in; the same graph as it behaves in training goes out: batch statistics and fed dropout masks. */
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { draft, type Graph, type Node } from "../graph/graph.js";
import { Attributes, at, opsetOf } from "../ops/site.js";
import { numbersOf } from "../ops/values.js";

/** A running statistic: running = momentum x running + (1 - momentum) x batch, once per micro-batch (ONNX BatchNormalization, training_mode). */
export interface Statistic {
  /** The initialiser that holds the running value. */
  readonly running: string;
  /** The name that carries the batch's value: mean or population variance [c]. */
  readonly batch: string;
  readonly momentum: number;
}
/** A Dropout node whose mask is fed: 0 or 1 / (1 - ratio). */
export interface DropoutMask {
  /** The mask's input, and the name it multiplies. */
  readonly input: string;
  readonly of: string;
  readonly ratio: number;
}

export interface TrainingMode {
  readonly graph: Graph;
  readonly statistics: readonly Statistic[];
  readonly dropouts: readonly DropoutMask[];
}

/** `dropout`: ratios by node name instead of the graph's. Throws PareError for a ratio outside [0, 1) and a name that is no Dropout node. */
export function trainingMode(graph: Graph, dropout: Readonly<Record<string, number>> = {}): TrainingMode {
  const out = draft(graph);
  out.nodes = [];
  out.opsets.set("pare", 1);
  const g = new Emitter(out);
  const statistics: Statistic[] = [];
  const dropouts: DropoutMask[] = [];
  const named = new Set(Object.keys(dropout));
  for (const node of graph.nodes) {
    const standard = node.domain === "";
    if (standard && node.op === "BatchNormalization") batchNormalization(g, graph, node, statistics);
    else if (standard && node.op === "Dropout") {
      named.delete(node.name);
      dropoutNode(g, graph, node, dropout[node.name], dropouts);
    } else g.push(node);
  }
  const [unknown] = named;
  if (unknown !== undefined) throw new PareError(`dropout: the graph has no Dropout node named "${unknown}"`, "usage");
  return { graph: out, statistics, dropouts };
}

function batchNormalization(g: Emitter, graph: Graph, node: Node, statistics: Statistic[]): void {
  const [x, scale, bias, mean, variance] = node.inputs as [string, string, string, string, string];
  const read = new Attributes(node, opsetOf(graph, ""));
  // Statistics that are computed, not stored, have nowhere to run along: the node stays as it is.
  if (!graph.initializers.has(mean) || !graph.initializers.has(variance)) {
    g.push(node);
    return;
  }
  const batch = [g.fresh("mean"), g.fresh("variance")] as const;
  g.push({
    op: "BatchNormTraining",
    domain: "pare",
    name: node.name,
    inputs: [x, scale, bias],
    outputs: [node.outputs[0]!, ...batch],
    attributes: { epsilon: { kind: "float", value: read.float("epsilon", 1e-5) } },
  });
  const momentum = read.float("momentum", 0.9);
  statistics.push({ running: mean, batch: batch[0], momentum }, { running: variance, batch: batch[1], momentum });
}

function dropoutNode(g: Emitter, graph: Graph, node: Node, chosen: number | undefined, dropouts: DropoutMask[]): void {
  const [x, ratioName] = node.inputs as [string, string | undefined];
  const [y, mask] = node.outputs as [string, string | undefined];
  if (mask) throw new PareError(`${at(node)}: training a graph that reads a Dropout's mask is not supported`);
  const stored = ratioName ? graph.initializers.get(ratioName) : null;
  if (ratioName && !stored && chosen === undefined)
    throw new PareError(`${at(node)}: its ratio is computed; give one by the option dropout`);
  const ratio = chosen ?? (stored ? numbersOf(stored)![0]! : 0.5);
  if (!(ratio >= 0 && ratio < 1)) throw new PareError(`${at(node)}: ratio ${ratio} is outside [0, 1)`, "usage");
  if (ratio === 0) {
    g.push({ ...node, op: "Identity", inputs: [x], outputs: [y], attributes: {} });
    return;
  }
  const input = g.fresh("dropout_mask");
  dropouts.push({ input, of: x, ratio });
  g.push({ ...node, op: "Mul", inputs: [x, input], outputs: [y], attributes: {} });
}
