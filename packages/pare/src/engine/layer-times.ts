/** A table of times: a graph's layers enter; the milliseconds of each, timed on this machine once per kind and size, leave. */
import { Emitter } from "../graph/emit.js";
import { draft, emptyGraph, feeds, type Graph, type Node, type ValueType } from "../graph/graph.js";
import type { Engine } from "./engine.js";
import { latency } from "./latency.js";

/** Layers faster than this are timed as so many copies, summed: what a run costs besides, such as reordering its input, weighs little then. */
const [shortMs, copies] = [0.5, 8];
/** Of slow layers there are fewer runs. */
const withinMs = 200;

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
  async #time(graph: Graph, timed: TimedNode): Promise<number> {
    const ms = async (count: number, runs: number): Promise<number> => {
      const alone = copiesOf(graph, timed, count);
      if (feeds(alone).length === 0) return 0;
      const [found] = await latency(this.engine, [alone], { runs, withinMs });
      return found!.minMs / count;
    };
    return ms((await ms(1, 1)) < shortMs ? copies : 1, this.runs);
  }
}

/** A model of so many copies of a node, each with constants of its own, and of the sum of their first outputs. */
function copiesOf(graph: Graph, { node, x }: TimedNode, count: number): Graph {
  const alone = draft(emptyGraph("layer", 21));
  alone.opsets = new Map(graph.opsets);
  alone.irVersion = graph.irVersion;
  const g = new Emitter(alone, "float32", "sum/");
  let sum = "";
  for (let copy = 0; copy < count; copy++) {
    const own = (name: string): string => (name ? `${name}.${copy}` : "");
    const inputs = node.inputs.map((name, i) => {
      const constant = graph.initializers.get(name);
      if (constant) alone.initializers.set(own(name), constant);
      else if (x[i] && !alone.inputs.some((v) => v.name === name)) alone.inputs.push({ name, ...x[i] });
      return constant ? own(name) : name;
    });
    g.push({ ...node, name: own(node.name), inputs, outputs: node.outputs.map(own) });
    const y = own(node.outputs[0]!);
    sum = sum === "" ? y : g.op("Add", [sum, y]);
  }
  alone.outputs = [{ name: sum, type: x[0]?.type ?? "float32", shape: null }];
  return alone;
}
