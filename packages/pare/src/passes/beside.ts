/** Two graphs with the same inputs come in; one graph with the nodes of both goes out, so that their inner values can meet. */
import { Emitter } from "../graph/emit.js";
import { draft, type Graph } from "../graph/graph.js";
import { renamed } from "../graph/rename.js";
import { raiseOpset } from "./raise-opset.js";

export interface Beside {
  /** The first graph, its names as they were, and the second behind it; outputs are the first's. */
  readonly graph: Graph;
  /** What a name of the second graph is called now. */
  readonly nameOf: (name: string) => string;
}

/** Both at the current opset. */
export function beside(first: Graph, second: Graph): Beside {
  const [out, other] = [draft(raiseOpset(first)), raiseOpset(second)];
  out.values = new Map();
  for (const [domain, version] of other.opsets) if (!out.opsets.has(domain)) out.opsets.set(domain, version);
  const g = new Emitter(out, "float32", "beside_");
  const shared = new Set(out.inputs.filter((v) => !other.initializers.has(v.name)).map((v) => v.name));
  const names = new Map<string, string>();
  for (const [name, tensor] of other.initializers) {
    const own = g.fresh("constant");
    out.initializers.set(own, tensor);
    names.set(name, own);
  }
  for (const node of other.nodes)
    for (const o of node.outputs) if (o !== "" && !shared.has(o)) names.set(o, g.fresh("value"));
  for (const node of other.nodes) g.push({ ...renamed(node, names), name: "" });
  return { graph: out, nameOf: (name) => names.get(name) ?? name };
}
