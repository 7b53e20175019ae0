/** Calls of the model's own functions -> the nodes of these, in bodies too; the functions are gone. */
import { decodeAttribute } from "../graph/decode.js";
import { Emitter, node } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { AttributeProto } from "../graph/generated/onnx_pb.js";
import { type Attribute, draft, type FunctionDefinition, type Graph, type Node } from "../graph/graph.js";
import { renamed } from "../graph/rename.js";
import { withBodies } from "../graph/scope.js";
import { uniqueNames } from "./unique-names.js";

/** A checked graph: no function calls itself. Throws PareError where a function is written for another standard opset than the model. */
export function inlineFunctions(graph: Graph): Graph {
  if (graph.functions.length === 0) return graph;
  const functions = new Map(graph.functions.map((f) => [keyOf(f.domain, f.name, f.overload), f]));
  const opset = graph.opsets.get("");
  for (const f of graph.functions) {
    const own = f.opsets.get("");
    if (own !== undefined && opset !== undefined && own !== opset)
      throw new PareError(
        `function "${f.name}" is of opset ${own} in a model of opset ${opset}: they should be the same`,
      );
  }
  const opsets = new Map([...graph.functions.flatMap((f) => [...f.opsets]), ...graph.opsets]);
  const emitter = new Emitter(draft(graph));
  return uniqueNames({ ...graph, nodes: writtenOut(graph.nodes, functions, emitter), functions: [], opsets });
}

type Functions = ReadonlyMap<string, FunctionDefinition>;
const keyOf = (domain: string, name: string, overload = ""): string => `${domain}:${name}:${overload}`;
const calledBy = (n: Node, functions: Functions): FunctionDefinition | undefined =>
  functions.get(keyOf(n.domain, n.op, ((n.extra ?? {}) as { overload?: string }).overload));

function writtenOut(nodes: readonly Node[], functions: Functions, emitter: Emitter): Node[] {
  return nodes.flatMap((n) => {
    const f = calledBy(n, functions);
    if (f) return writtenOut(contentOf(f, n, emitter), functions, emitter);
    return [withBodies(n, (b) => ({ ...b, nodes: writtenOut(b.nodes, functions, emitter) }))];
  });
}

/** The function's nodes with the caller's names and attributes. */
function contentOf(f: FunctionDefinition, call: Node, emitter: Emitter): Node[] {
  const names = new Map(f.inputs.map((name, i) => [name, call.inputs[i] ?? ""]));
  const copies: Node[] = [];
  f.outputs.forEach((name, k) => {
    const wanted = call.outputs[k];
    if (!wanted) return;
    if (names.has(name)) copies.push(node("Identity", [names.get(name)!], [wanted], {}, "", emitter.fresh(call.name)));
    else names.set(name, wanted);
  });
  for (const n of f.nodes) for (const o of n.outputs) if (o && !names.has(o)) names.set(o, emitter.fresh(o));
  const given = { ...defaultsOf(f), ...call.attributes };
  const inner = f.nodes.map((n) => ({ ...renamed(filledIn(n, given), names), name: emitter.fresh(n.name || n.op) }));
  return [...inner, ...copies];
}

function defaultsOf(f: FunctionDefinition): Record<string, Attribute> {
  const { attributeProto = [] } = (f.extra ?? {}) as { attributeProto?: readonly AttributeProto[] };
  return Object.fromEntries(attributeProto.map((a) => [a.name, decodeAttribute(a, () => `function "${f.name}"`)]));
}

/** References to the function's attributes become their values; one that the caller leaves out is left out. */
function filledIn(n: Node, given: Readonly<Record<string, Attribute>>): Node {
  const within = withBodies(n, (b) => ({ ...b, nodes: b.nodes.map((inner) => filledIn(inner, given)) }));
  const attributes = Object.fromEntries(
    Object.entries(within.attributes).flatMap(([name, a]) => {
      const value = a.kind === "ref" ? given[a.value] : a;
      return value ? [[name, value] as const] : [];
    }),
  );
  return { ...within, attributes };
}
