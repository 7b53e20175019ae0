/** Nodes that read constants only -> their results as constants, computed by whoever executes graphs. */
import { infer } from "../analyze/infer.js";
import { type Draft, emptyGraph, type Graph, type Node, type Subgraph, type Tensor } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";
import { type Change, eachBody, type Known } from "./each-body.js";

/** Runs a graph without inputs; its outputs by name. Names it has no tensor form for are left out. */
export type Evaluate = (graph: Graph) => Promise<ReadonlyMap<string, Tensor>>;

/** Bytes by which a constant may outgrow the constants that it is made of. */
const growth = 1024;
/** Codes stay codes: their numbers would take four times the bytes. Dropout may draw. */
const kept = new Set(["DequantizeLinear", "Dropout", "Constant"]);

/** The same function. A result much larger than what it is made of (a tiled or expanded constant) stays computed. */
export async function foldConstants(graph: Graph, evaluate: Evaluate): Promise<Graph> {
  // Results differ from body to body, so they are computed first and put in place in a second walk of the same order.
  const plans: (Plan | null)[] = [];
  const inferred = infer(graph);
  const found: Change = (body, known) => {
    plans.push(planFor(body, known, graph));
    return body;
  };
  eachBody(graph, inferred, found);
  if (plans.every((p) => p === null)) return graph;
  const results = await Promise.all(plans.map((p) => (p ? resultsOf(p, evaluate) : null)));
  let at = 0;
  return eachBody(graph, inferred, (body) => {
    const computed = results[at++];
    if (!computed || computed.size === 0) return body;
    const initializers = new Map([...body.initializers, ...computed]);
    return { ...body, initializers, nodes: body.nodes.filter((n) => !n.outputs.some((o) => computed.has(o))) };
  });
}

interface Plan {
  /** Computes every foldable name that others read. */
  readonly graph: Graph;
  /** Bytes of the constants behind each output. */
  readonly behind: ReadonlyMap<string, number>;
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
  if (work.nodes.length === 0) return null;
  const outside = new Set(body.outputs.map((v) => v.name));
  for (const n of body.nodes) if (!work.nodes.includes(n)) for (const name of n.inputs) outside.add(name);
  const behind = new Map<string, number>();
  for (const [name, roots] of folded) {
    behind.set(
      name,
      [...roots].reduce((sum, r) => sum + (known.valueOf(r)?.bytes.length ?? 0), 0),
    );
    if (!body.outputs.some((v) => v.name === name)) work.outputs.push({ name, ...known.typeOf(name)! });
  }
  return work.outputs.length > 0 ? { graph: work, behind } : null;
}

function foldable(n: Node, known: Known): boolean {
  if (n.domain !== "" || !recordOf(n) || kept.has(n.op) || bodiesOf(n).length > 0 || n.inputs.length === 0)
    return false;
  return n.outputs.every((o) => !o || known.typeOf(o)?.type !== "undefined");
}

async function resultsOf({ graph, behind }: Plan, evaluate: Evaluate): Promise<Map<string, Tensor>> {
  const all = await evaluate(graph);
  return new Map([...all].filter(([name, t]) => t.bytes.length <= behind.get(name)! + growth));
}
