/** What lowering is: composite nodes are replaced one by one, their outputs keep their names. */
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { draft, type ElementType, type Graph, type Node } from "../graph/graph.js";

/** One composite node in its place: fixed shapes and integer attributes. */
export interface CompositeSite {
  readonly inputs: readonly string[];
  readonly type: ElementType;
  /** Dims of input i. Throws where they are not fixed. */
  dims(i: number): readonly number[];
  ints(name: string): readonly number[];
  int(name: string): number;
  float(name: string): number;
}
/** Emits plain nodes and returns the names of the outputs. */
export type Lowering = (g: Emitter, s: CompositeSite) => readonly string[];

/** Replaces composites by `lowerings`. Throws PareError where one has none, or shapes are missing. */
export function lowerWith(graph: Graph, lowerings: Readonly<Record<string, Lowering>>): Graph {
  if (!graph.nodes.some((n) => n.domain === "pare")) return graph;
  const out = draft(graph);
  out.nodes = [];
  out.opsets.delete("pare");
  const emitters = {
    float32: new Emitter(out, "float32", "lowered_"),
    float64: new Emitter(out, "float64", "lowered64_"),
  };
  for (const node of graph.nodes) {
    if (node.domain !== "pare") {
      out.nodes.push(node);
      continue;
    }
    const lowering = lowerings[node.op];
    if (!lowering) throw new PareError(`pare.${node.op} "${node.name}": the engine does not know this composite`);
    const site = siteOf(graph, node);
    const start = out.nodes.length;
    const results = lowering(site.type === "float64" ? emitters.float64 : emitters.float32, site);
    rename(out.nodes, start, node, results);
  }
  return out;
}

/** Gives the results of the nodes from `start` on the composite's own output names. */
function rename(nodes: Node[], start: number, composite: Node, results: readonly string[]): void {
  const names = new Map<string, string>();
  composite.outputs.forEach((output, k) => {
    if (output !== "") names.set(results[k]!, output);
  });
  const to = (name: string): string => names.get(name) ?? name;
  for (let i = start; i < nodes.length; i++) {
    const n = nodes[i]!;
    nodes[i] = { ...n, inputs: n.inputs.map(to), outputs: n.outputs.map(to) };
  }
}

function siteOf(graph: Graph, node: Node): CompositeSite {
  const typeOf = (i: number) => {
    const name = node.inputs[i] ?? "";
    const tensor = graph.initializers.get(name);
    const found = graph.values.get(name) ?? graph.inputs.find((v) => v.name === name);
    return tensor ? { type: tensor.type, shape: tensor.dims } : found;
  };
  const wrong = (what: string): PareError => new PareError(`pare.${node.op} "${node.name}": ${what}`);
  return {
    inputs: node.inputs,
    type: typeOf(0)?.type ?? "float32",
    dims(i) {
      const shape = typeOf(i)?.shape;
      if (shape?.every((d) => typeof d === "number")) return shape as readonly number[];
      throw wrong(`input ${i} "${node.inputs[i]}" has no fixed shape in the graph's values`);
    },
    ints(name) {
      const a = node.attributes[name];
      if (a?.kind !== "ints") throw wrong(`attribute ${name} (ints) is missing`);
      return a.value.map(Number);
    },
    int(name) {
      const a = node.attributes[name];
      if (a?.kind !== "int") throw wrong(`attribute ${name} (int) is missing`);
      return Number(a.value);
    },
    float(name) {
      const a = node.attributes[name];
      if (a?.kind !== "float") throw wrong(`attribute ${name} (float) is missing`);
      return a.value;
    },
  };
}
