/** Who computes and who reads each value of a graph, bodies included: a graph whose names are unique comes in, look-up tables go out. */
import { infer } from "../analyze/infer.js";
import { PareError } from "../graph/error.js";
import type { Graph, Node, Subgraph, Tensor, ValueType } from "../graph/graph.js";
import { bodiesOf } from "../graph/scope.js";
import type { Site } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { siteOf } from "../ops/site.js";

export interface Placed {
  /** The first output's name. */
  readonly key: string;
  readonly node: Node;
  readonly body: Subgraph;
}
export interface Reader {
  readonly at: Placed;
  readonly input: number;
}
export interface Wiring {
  /** In the order of the file; the nodes of a body come before the node that carries it. */
  readonly nodes: readonly Placed[];
  readonly producer: ReadonlyMap<string, Placed>;
  readonly readers: ReadonlyMap<string, readonly Reader[]>;
  /** Values that leave their graph or body. */
  readonly leaving: ReadonlySet<string>;
  /** Initialisers that nothing can replace from outside, and the body they stand in. */
  readonly constants: ReadonlyMap<string, { readonly tensor: Tensor; readonly body: Subgraph }>;
  typeOf(name: string): ValueType | null;
  /** null for operators that Pare does not know. */
  siteOf(at: Placed): Site | null;
}

export const keyOf = (node: Node): string => node.outputs.find(Boolean) ?? "";

const known = new WeakMap<Graph, Wiring>();

/** Made once per graph. Throws PareError where two values of different bodies share a name, since a plan goes by names. */
export function wiringOf(graph: Graph): Wiring {
  let wiring = known.get(graph);
  if (!wiring) known.set(graph, (wiring = wire(graph)));
  return wiring;
}

function wire(graph: Graph): Wiring {
  const nodes: Placed[] = [];
  const producer = new Map<string, Placed>();
  const readers = new Map<string, Reader[]>();
  const leaving = new Set<string>();
  const constants = new Map<string, { tensor: Tensor; body: Subgraph }>();
  const visit = (body: Subgraph): void => {
    const fed = new Set(body.inputs.map((v) => v.name));
    for (const [name, tensor] of body.initializers) if (!fed.has(name)) constants.set(name, { tensor, body });
    for (const v of body.outputs) leaving.add(v.name);
    for (const node of body.nodes) {
      for (const inner of bodiesOf(node)) visit(inner);
      const at: Placed = { key: keyOf(node), node, body };
      nodes.push(at);
      for (const o of node.outputs) {
        if (o && producer.has(o))
          throw new PareError(
            `two nodes of different bodies both compute "${o}": give every value a name of its own first`,
          );
        if (o) producer.set(o, at);
      }
      node.inputs.forEach((name, input) => {
        if (!name) return;
        const list = readers.get(name);
        if (list) list.push({ at, input });
        else readers.set(name, [{ at, input }]);
      });
    }
  };
  visit(graph);
  const inferred = infer(graph);
  const types = new Map([...inferred.types, ...[...inferred.bodies.values()].flatMap((scope) => [...scope.types])]);
  const typeOf = (name: string): ValueType | null => types.get(name) ?? null;
  const unknown: ValueType = { type: "undefined", shape: null };
  return {
    nodes,
    producer,
    readers,
    leaving,
    constants,
    typeOf,
    siteOf({ node }) {
      const record = recordOf(node);
      if (!record) return null;
      const typesOf = (names: readonly string[]) => names.map((name) => (name ? (typeOf(name) ?? unknown) : null));
      return siteOf(record, {
        node,
        opset: graph.opsets.get(node.domain) ?? 1,
        x: typesOf(node.inputs),
        y: typesOf(node.outputs),
        value: (i) => (node.inputs[i] ? (constants.get(node.inputs[i])?.tensor ?? null) : null),
      });
    },
  };
}
