/** Graph of any opset -> the same graph in the form of a newer one, each operator rewritten by its record, bodies included. */
import type { Inferred } from "../analyze/infer.js";
import { infer } from "../analyze/infer.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Graph, Node, Subgraph, Tensor, ValueType } from "../graph/graph.js";
import { draft } from "../graph/graph.js";
import { irVersionOf } from "../graph/ir-version.js";
import { bodiesOf, withBodies } from "../graph/scope.js";
import { recordOf } from "../ops/registry.js";
import { siteOf } from "../ops/site.js";
import { inlineFunctions } from "./inline-functions.js";

/** The opsets that models are raised to: Pare's own nodes are written for the last one, and operators say what differs since the first. */
export const oldestRaised = 17;
export const raisedOpset = 21;

/**
 * A model at opset `to` or later comes back unchanged; else its functions are written out where they are called. Throws PareError that names the
 * operators Pare has no record of, or the node that has no newer form.
 */
export function raiseOpset(graph: Graph, to = raisedOpset): Graph {
  const opset = graph.opsets.get("");
  if (opset === undefined || opset >= to) return graph;
  if (!(Number.isInteger(to) && to >= oldestRaised && to <= raisedOpset))
    throw new PareError(`opset ${to}: models are raised to opset ${oldestRaised} to ${raisedOpset}`);
  const strangers = new Set([graph, ...graph.functions].flatMap(unknownOperators));
  if (strangers.size > 0)
    throw new PareError(
      `cannot raise the model from opset ${opset} to ${to}: Pare does not know ${[...strangers].sort().join(", ")}`,
    );
  const whole = inlineFunctions(graph);
  return {
    ...whole,
    ...raiseBody(whole, whole, infer(whole), to, []),
    opsets: new Map([...whole.opsets, ["", to]]),
    irVersion: Math.max(graph.irVersion, irVersionOf(to)),
  };
}

function unknownOperators(graph: Pick<Subgraph, "nodes">): string[] {
  return graph.nodes.flatMap((n) => [
    ...(n.domain === "" && !recordOf(n) ? [n.op] : []),
    ...bodiesOf(n).flatMap(unknownOperators),
  ]);
}

interface Known {
  typeOf(name: string): ValueType | undefined;
  valueOf(name: string): Tensor | undefined;
}

/** `path` tells apart the fresh names of bodies, which could hide one another otherwise. */
function raiseBody(body: Subgraph, graph: Graph, inferred: Inferred, to: number, path: readonly number[]): Subgraph {
  const scope = inferred.bodies.get(body);
  const known: Known = scope
    ? { typeOf: (name) => scope.typeOf(name) ?? undefined, valueOf: (name) => scope.valueOf(name) ?? undefined }
    : { typeOf: (name) => inferred.types.get(name), valueOf: (name) => inferred.values.get(name) };
  const work = draft({ ...graph, ...body });
  const emitter = new Emitter(work, "float32", `raised_${path.map((i) => `${i}_`).join("")}`);
  work.nodes = [];
  body.nodes.forEach((n, i) => {
    let bodies = 0;
    const inner = withBodies(n, (b) => raiseBody(b, graph, inferred, to, [...path, i, bodies++]));
    raiseNode(inner, graph.opsets.get("")!, to, emitter, known);
  });
  return { ...body, nodes: work.nodes, initializers: work.initializers };
}

/** Appends the newer form of a node to the emitter's graph; its outputs keep their names. */
function raiseNode(n: Node, opset: number, target: number, emitter: Emitter, known: Known): void {
  const record = n.domain === "" ? recordOf(n) : null;
  const nodes = emitter.graph.nodes;
  if (!record || record.raise === "same") {
    emitter.push(n);
    return;
  }
  const unknown: ValueType = { type: "undefined", shape: null };
  const typeOf = (name: string) => (name === "" ? null : (known.typeOf(name) ?? unknown));
  const site = siteOf(record, {
    node: n,
    opset,
    x: n.inputs.map(typeOf),
    y: n.outputs.map(typeOf),
    value: (i) => known.valueOf(n.inputs[i] ?? "") ?? null,
  });
  const start = nodes.length;
  const results = record.raise(emitter, n, opset, site, target);
  if (results === "same") {
    emitter.push(n);
    return;
  }
  const emitted = nodes.splice(start);
  const renamed = new Map<string, string>();
  const copies: [from: string, to: string][] = [];
  const made = new Set(emitted.flatMap((e) => e.outputs));
  n.outputs.forEach((output, k) => {
    if (output === "") return;
    const result = results[k];
    if (result === undefined)
      throw new PareError(`${n.op} "${n.name}": its form at opset ${target} has no output ${k}`);
    if (result === output) return;
    if (made.has(result) && !renamed.has(result)) renamed.set(result, output);
    else copies.push([result, output]);
  });
  const to = (name: string) => renamed.get(name) ?? name;
  for (const e of emitted) {
    const outputs = e.outputs.map(to);
    const name = outputs.includes(n.outputs[0] ?? "") ? n.name : e.name;
    emitter.push({ ...e, name, inputs: e.inputs.map(to), outputs });
  }
  for (const [from, output] of copies)
    emitter.push({ op: "Identity", domain: "", name: output, inputs: [to(from)], outputs: [output], attributes: {} });
}
