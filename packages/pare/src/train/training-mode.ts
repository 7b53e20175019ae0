/** A graph that infers comes in; the same graph as it behaves in training goes out: batch statistics and fed dropout masks. */
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { draft, type Graph } from "../graph/graph.js";
import type { DropoutMask, Statistic } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { opsetOf } from "../ops/site.js";

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
    const record = recordOf(node);
    if (!record?.train) {
      g.push(node);
      continue;
    }
    record.train(node, {
      g,
      initializers: graph.initializers,
      opset: opsetOf(graph, node.domain),
      chosenRatio() {
        named.delete(node.name);
        return dropout[node.name];
      },
      follow: (...s) => statistics.push(...s),
      drop: (mask) => dropouts.push(mask),
    });
  }
  const [unknown] = named;
  if (unknown !== undefined) throw new PareError(`dropout: the graph has no Dropout node named "${unknown}"`, "usage");
  return { graph: out, statistics, dropouts };
}
