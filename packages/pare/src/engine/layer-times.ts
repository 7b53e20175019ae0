/** A table of times: a graph's layers enter; the milliseconds of each, timed on this machine once per kind and size, leave. */
import { draft, emptyGraph, feeds, type Graph, type Node, type ValueType } from "../graph/graph.js";
import type { Engine } from "./engine.js";
import { latency } from "./latency.js";

export interface TimedNode {
  readonly node: Node;
  /** Of its inputs; null where absent. Constants are taken from the graph. */
  readonly x: readonly (ValueType | null)[];
}

/** Times single nodes and remembers: the same operator with the same attributes on the same shapes is timed once. */
export class LayerTimes {
  readonly #known = new Map<string, Promise<number>>();
  constructor(
    readonly engine: Engine,
    readonly runs = 15,
  ) {}

  /** The fastest of several runs, in milliseconds; 0 for a node whose shapes are open. */
  async ms(graph: Graph, { node, x }: TimedNode): Promise<number> {
    if (!x.every((v) => v === null || v.shape?.every((d) => typeof d === "number"))) return 0;
    const attributes = Object.entries(node.attributes).map(([name, a]) => [name, "value" in a ? String(a.value) : ""]);
    const key = JSON.stringify([node.op, attributes, x.map((v) => v && [v.type, v.shape])]);
    let known = this.#known.get(key);
    if (!known) this.#known.set(key, (known = this.#time(graph, { node, x })));
    return known;
  }
  async #time(graph: Graph, { node, x }: TimedNode): Promise<number> {
    const alone = draft(emptyGraph("layer", 21));
    alone.opsets = new Map(graph.opsets);
    alone.irVersion = graph.irVersion;
    node.inputs.forEach((name, i) => {
      const constant = graph.initializers.get(name);
      if (constant) alone.initializers.set(name, constant);
      else if (x[i] && !alone.inputs.some((v) => v.name === name)) alone.inputs.push({ name, ...x[i] });
    });
    alone.nodes.push(node);
    alone.outputs = node.outputs.filter(Boolean).map((name) => ({ name, type: "float32", shape: null }));
    if (feeds(alone).length === 0) return 0;
    const [found] = await latency(this.engine, [alone], { runs: this.runs });
    return found!.minMs;
  }
}
