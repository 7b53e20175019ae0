/**
 * The graph of one step with its update comes in; a graph that makes any number of them in one run goes out. The numbers are the same; what
 * is saved is what a run costs besides: the call, and onnxruntime-node's copies of all that comes out.
 */
import { Emitter, node } from "../graph/emit.js";
import { draft, emptyGraph, type Graph, type Subgraph, type Value } from "../graph/graph.js";
import type { UpdateNames } from "../optimizers/update-graph.js";
import type { Layout } from "./layout.js";

export interface StepParts {
  /** One step: reads parameters, feeds and the update's inputs; writes the update's outputs and `collected`. */
  readonly graph: Graph;
  readonly names: UpdateNames;
  readonly layout: Layout;
  /** Inputs that differ from step to step. */
  readonly each: readonly string[];
  /** Outputs that every step gives. */
  readonly collected: readonly string[];
}
export interface ManySteps {
  readonly graph: Graph;
  /** The input that says how many steps to make, int64 []. */
  readonly steps: string;
  /** What the run calls the step's inputs and outputs. `each` and `collected` have a leading axis of steps; p and slots are those before and after. */
  readonly nameOf: (name: string) => string;
}

/** Parameters are cut from the vector p inside; what else the step reads (masks) keeps its name. */
export function manySteps({ graph, names, layout, each, collected }: StepParts): ManySteps {
  const carried = [names.p, ...names.slots];
  const results = [names.next, ...names.nextSlots, ...collected];
  const body = draft(graph);
  const g = new Emitter(body);
  // A body's names may not stand around it too.
  const around = new Map([...each, ...carried, ...results].map((name) => [name, g.fresh(`${name} of the run`)]));
  const nameOf = (name: string): string => around.get(name) ?? name;
  const steps = g.fresh("steps");
  const goOn = g.fresh("go_on");

  const counter: Value = { name: g.fresh("step"), type: "int64", shape: [] };
  const before: Value = { name: g.fresh("go_on"), type: "bool", shape: [] };
  for (const v of graph.inputs) body.values.set(v.name, v);
  body.nodes = each.map((name) => node("Gather", [nameOf(name), counter.name], [name], { axis: 0 }));
  for (const { parameter, offset, length } of layout.segments) {
    const flat = g.op("Slice", [names.p, g.ints([offset]), g.ints([offset + length])]);
    g.push(node("Reshape", [flat, g.ints(parameter.dims)], [parameter.name]));
  }
  body.nodes.push(...graph.nodes);
  const after = g.op("Identity", [before.name]);
  const typed = new Map([...graph.inputs, ...graph.outputs].map((v) => [v.name, v]));
  body.inputs = [counter, before, ...carried.map((name) => typed.get(name)!)];
  body.outputs = [{ ...before, name: after }, ...results.map((name) => typed.get(name)!)];

  const out = emptyGraph(graph.name, 21);
  Object.assign(out, { irVersion: graph.irVersion, functions: graph.functions, opsets: new Map(graph.opsets) });
  const rows = (v: Value): Value => ({ ...v, name: nameOf(v.name), shape: ["steps", ...v.shape!] });
  const renamed = (v: Value): Value => ({ ...v, name: nameOf(v.name) });
  const parameters = new Set(layout.segments.map((s) => s.parameter.name));
  out.inputs = [
    { name: steps, type: "int64", shape: [] },
    ...graph.inputs.flatMap((v) => (parameters.has(v.name) ? [] : each.includes(v.name) ? [rows(v)] : [renamed(v)])),
  ];
  out.outputs = results.map((name, i) => (i <= names.slots.length ? renamed : rows)(typed.get(name)!));
  out.initializers.set(goOn, { type: "bool", dims: [], bytes: Uint8Array.of(1) });
  const { name, nodes, initializers, inputs, outputs, values } = body;
  const value: Subgraph = { name: `${name} step`, nodes, initializers, inputs, outputs, values };
  const loop = node("Loop", [steps, goOn, ...carried.map(nameOf)], results.map(nameOf), {
    body: { kind: "graph", value },
  });
  out.nodes.push(loop);
  return { graph: out, steps, nameOf };
}
