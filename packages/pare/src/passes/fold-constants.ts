/** Nodes that read constants only -> their results as constants, computed by whoever executes graphs. */
import { infer } from "../analyze/infer.js";
import { type Draft, emptyGraph, type Graph, type Node, type Subgraph, type Tensor } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";
import { eachBody, type Known } from "./each-body.js";

/** Runs a graph without inputs; its outputs by name. Names it has no tensor form for are left out. */
export type Evaluate = (graph: Graph) => Promise<ReadonlyMap<string, Tensor>>;

/** Bytes by which a constant may outgrow the constants that it is made of. */
const growth = 1024;
/** Codes stay codes: their numbers would take four times the bytes. Dropout may draw. */
const kept = new Set(["DequantizeLinear", "Dropout", "Constant"]);

/**
 * The same function. A result much larger than the constants that it makes superfluous (a tiled weight, a copy of one that others read) stays
 * computed. Results stand in the main graph, where bodies can share them, so the graph's names must be unique (`uniqueNames`).
 */
export async function foldConstants(graph: Graph, evaluate: Evaluate): Promise<Graph> {
  const plans: Plan[] = [];
  const inferred = infer(graph);
  eachBody(graph, inferred, (body, known) => {
    const plan = planFor(body, known, graph);
    if (plan) plans.push(plan);
    return body;
  });
  if (plans.length === 0) return graph;
  const superfluous = superfluousIn(graph, plans);
  const results = new Map<string, Tensor>();
  for (const plan of plans)
    for (const [name, t] of await evaluate(plan.graph))
      if (t.bytes.length <= behind(plan, name, superfluous) + growth) results.set(name, t);
  if (results.size === 0) return graph;
  const folded = eachBody(graph, inferred, (body) => {
    const nodes = body.nodes.filter((n) => !n.outputs.some((o) => results.has(o)));
    return nodes.length < body.nodes.length ? { ...body, nodes } : body;
  });
  return { ...folded, initializers: new Map([...folded.initializers, ...results]) };
}

interface Plan {
  /** Computes every foldable name that others read. */
  readonly graph: Graph;
  /** The constants behind each name. */
  readonly roots: ReadonlyMap<string, ReadonlySet<string>>;
}

function planFor(body: Subgraph, known: Known, graph: Graph): Plan | null {
  const work: Draft = {
    ...emptyGraph("constants", known.opset),
    opsets: new Map(graph.opsets),
    irVersion: graph.irVersion,
  };
  const folded = new Map<string, ReadonlySet<string>>();
  const constant = (name: string): boolean => folded.has(name) || known.valueOf(name) !== null;
  for (const n of body.nodes) {
    if (!foldable(n, known) || !n.inputs.every((name) => !name || constant(name))) continue;
    const roots = new Set(n.inputs.filter(Boolean).flatMap((name) => [...(folded.get(name) ?? [name])]));
    for (const o of n.outputs) if (o) folded.set(o, roots);
    for (const name of n.inputs) if (name && !folded.has(name)) work.initializers.set(name, known.valueOf(name)!);
    work.nodes.push(n);
  }
  const own = new Set(body.outputs.map((v) => v.name));
  for (const name of folded.keys()) if (!own.has(name)) work.outputs.push({ name, ...known.typeOf(name)! });
  return work.outputs.length > 0 ? { graph: work, roots: folded } : null;
}

/** Names that nobody but the plans' nodes reads. */
function superfluousIn(graph: Graph, plans: readonly Plan[]): ReadonlySet<string> {
  const folded = new Set(plans.flatMap((p) => p.graph.nodes));
  const [mine, others] = [new Set<string>(), new Set<string>()];
  const walk = (body: Subgraph): void => {
    for (const v of body.outputs) others.add(v.name);
    for (const n of body.nodes) {
      for (const name of n.inputs) (folded.has(n) ? mine : others).add(name);
      bodiesOf(n).forEach(walk);
    }
  };
  walk(graph);
  return new Set([...mine].filter((name) => !others.has(name)));
}
/** Bytes that go when a name is a constant. */
function behind({ graph, roots }: Plan, name: string, superfluous: ReadonlySet<string>): number {
  const gone = [...(roots.get(name) ?? [])].filter((root) => superfluous.has(root));
  return gone.reduce((sum, root) => sum + (graph.initializers.get(root)?.bytes.length ?? 0), 0);
}

function foldable(n: Node, known: Known): boolean {
  if (n.domain !== "" || !recordOf(n) || kept.has(n.op) || bodiesOf(n).length > 0 || n.inputs.length === 0)
    return false;
  return n.outputs.every((o) => !o || known.typeOf(o)?.type !== "undefined");
}
