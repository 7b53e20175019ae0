/** Graph -> the numbered form that a packed file holds: names become distances, and go unless somebody needs them. */
import type {
  Attribute as Coded,
  Tensor as CodedTensor,
  Defined,
  NumberedBody,
  NumberedFunction,
  NumberedModel,
  NumberedNode,
  NumberedValue,
} from "@pare/runtime/writer";
import { absent, back, fresh, fulfils, later } from "@pare/runtime/writer";
import type { Attribute, FunctionDefinition, Graph, Node, Subgraph, Tensor, Value } from "../graph/graph.js";

/** Remarks that say nothing about what the model computes; they stay only with `keepNames`. */
const remarks = ["docString", "metadataProps", "producerName", "producerVersion"];

/** The numbered form of a model. Names inside are dropped unless `keepNames`, or unless the graph needs them. */
export function numberModel(graph: Graph, keepNames: boolean, names: TensorNames = new Map()): NumberedModel {
  try {
    return new Numbering(keepNames, names).model(graph);
  } catch (error) {
    if (error !== dangling) throw error;
    // A name that nobody defines means something only by its text.
    return new Numbering(true, names).model(graph);
  }
}
/** What each tensor of the numbered form is called in the graph: the initialiser's name, or node and attribute. */
export type TensorNames = Map<CodedTensor, string>;
const dangling = new Error("a name that nobody defines");

/** Definitions seen from inside a body: name -> place in the list of all seen. */
interface Scope {
  readonly places: Map<string, number>;
  count: number;
}

class Numbering {
  constructor(
    private readonly keepNames: boolean,
    private readonly names: TensorNames,
  ) {}

  model(graph: Graph): NumberedModel {
    return {
      irVersion: graph.irVersion,
      opsets: [...graph.opsets],
      metadata: [...graph.metadata],
      functions: graph.functions.map((fn) => this.#function(fn)),
      body: this.#body(graph, { places: new Map(), count: 0 }, true),
    };
  }
  #function(fn: FunctionDefinition): NumberedFunction {
    const value = (name: string): Value => ({ name, type: "undefined", shape: null });
    const body: Subgraph = {
      name: fn.name,
      nodes: fn.nodes,
      initializers: new Map(),
      inputs: fn.inputs.map(value),
      outputs: fn.outputs.map(value),
      values: new Map(),
      ...(fn.extra === undefined ? {} : { extra: fn.extra }),
    };
    return {
      body: new Numbering(true, this.names).#body(body, { places: new Map(), count: 0 }, true),
      domain: fn.domain,
      overload: fn.overload,
      attributes: fn.attributes,
      opsets: [...fn.opsets],
    };
  }

  #body(g: Subgraph, outer: Scope, border: boolean): NumberedBody {
    const scope: Scope = { places: new Map(outer.places), count: outer.count };
    const open: string[] = [];
    const extra = this.#extra(g);
    // What else the file says of a graph (sparse initialisers, quantization annotations) speaks of names.
    const named = this.keepNames || Object.keys(extra.extra ?? {}).some((key) => key !== "model");
    const nameOf = (name: string): string | null => (named ? name : null);
    const define = (name: string): void => void scope.places.set(name, scope.count++);
    const constants = new Map(g.initializers);
    const taken = new Set<string>();

    const read = (name: string): Defined => {
      if (name === "") return { ref: absent, name: null };
      const place = scope.places.get(name);
      if (place !== undefined) return { ref: back + scope.count - 1 - place, name: null };
      const tensor = constants.get(name);
      if (!tensor) {
        if (!named) throw dangling;
        open.push(name);
      } else taken.add(name);
      define(name);
      return tensor
        ? { ref: fresh, name: nameOf(name), tensor: this.#tensor(tensor, name) }
        : { ref: later, name: nameOf(name) };
    };
    const written = (name: string): Defined => {
      if (name === "") return { ref: absent, name: null };
      const waiting = open.indexOf(name);
      if (waiting >= 0) open.splice(waiting, 1);
      else define(name);
      return { ref: waiting >= 0 ? fulfils + waiting : fresh, name: nameOf(name) };
    };

    const inputs = g.inputs.map((v): NumberedValue => {
      define(v.name);
      const tensor = taken.has(v.name) ? undefined : constants.get(v.name);
      taken.add(v.name);
      const at = {
        ref: fresh,
        name: border ? v.name : nameOf(v.name),
        ...(tensor ? { tensor: this.#tensor(tensor, v.name) } : {}),
      };
      return { at, type: typeOf(v), ...this.#extra(v) };
    });
    const direct = new Set(g.nodes.flatMap((n) => n.inputs));
    const inside = new Set<string>();
    for (const n of g.nodes) for (const body of bodiesOf(n)) namesRead(body, inside);
    const spare = [...constants.keys()]
      .filter((name) => !taken.has(name) && (!direct.has(name) || inside.has(name)))
      .map(read);
    const nodes = g.nodes.map((n) => this.#node(n, scope, nameOf, read, written));
    // A name at the graph's border is kept where it was not kept already.
    const known = new Set(g.inputs.map((v) => v.name));
    const ends = g.outputs.map((v): NumberedValue => {
      const at = read(v.name);
      const keep = border && !named && !known.has(v.name);
      known.add(v.name);
      return { at: keep ? { ...at, name: v.name } : at, type: typeOf(v), ...this.#extra(v) };
    });
    const values = named
      ? [...g.values].map(
          ([name, v]) => [name, { at: { ref: absent, name: null }, type: typeOf(v), ...this.#extra(v) }] as const,
        )
      : [];
    return { named, name: nameOf(g.name), inputs, nodes, spare, outputs: ends, values, ...extra };
  }

  #node(
    n: Node,
    scope: Scope,
    nameOf: (name: string) => string | null,
    read: (name: string) => Defined,
    written: (name: string) => Defined,
  ): NumberedNode {
    return {
      op: n.op,
      domain: n.domain,
      name: nameOf(n.name),
      attributes: Object.entries(n.attributes).map(
        ([name, a]) => [name, this.#attribute(a, scope, `${n.name || n.op}.${name}`)] as const,
      ),
      inputs: n.inputs.map(read),
      outputs: n.outputs.map(written),
      ...this.#extra(n),
    };
  }
  #attribute(a: Attribute, scope: Scope, name: string): Coded<NumberedBody> {
    const extra = this.#extra(a as { extra?: unknown });
    switch (a.kind) {
      case "graph":
        return { kind: a.kind, value: this.#body(a.value, scope, false), ...extra };
      case "graphs":
        return { kind: a.kind, value: a.value.map((g) => this.#body(g, scope, false)), ...extra };
      case "tensor":
        return { kind: a.kind, value: this.#tensor(a.value, name), ...extra };
      default:
        return { ...a, extra: undefined, ...extra } as Coded<NumberedBody>;
    }
  }
  #tensor(t: Tensor, name: string): CodedTensor {
    const { extra: _, ...rest } = t;
    const coded = { ...rest, ...this.#extra(t) };
    this.names.set(coded, name);
    return coded;
  }
  /** What is left of an `extra` without remarks. */
  #extra(x: { readonly extra?: unknown }): { extra?: object } {
    const { extra } = x;
    if (typeof extra !== "object" || extra === null) return {};
    if (this.keepNames) return { extra };
    const left = Object.entries(extra).flatMap(([key, value]): [string, unknown][] => {
      if (remarks.includes(key)) return [];
      if (key !== "model") return [[key, value]];
      const model = this.#extra({ extra: value }).extra;
      return model ? [[key, model]] : [];
    });
    return left.length ? { extra: Object.fromEntries(left) } : {};
  }
}

const typeOf = (v: Value): NumberedValue["type"] => ({
  type: v.type,
  shape: v.shape,
  ...(v.other === undefined ? {} : { other: v.other }),
});
const bodiesOf = (n: Node): readonly Subgraph[] =>
  Object.values(n.attributes).flatMap((a) => (a.kind === "graph" ? [a.value] : a.kind === "graphs" ? a.value : []));
/** Every name that a body or a body inside it reads. */
function namesRead(g: Subgraph, into: Set<string>): void {
  for (const v of g.outputs) into.add(v.name);
  for (const n of g.nodes) {
    for (const name of n.inputs) into.add(name);
    for (const body of bodiesOf(n)) namesRead(body, into);
  }
}
