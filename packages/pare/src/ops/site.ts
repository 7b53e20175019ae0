/** A node in its place: reads attributes with defaults and pairs a record with the node that it is asked about. */
import { PareError } from "../graph/error.js";
import type { Attribute, Graph, Int, Node, Tensor, ValueType } from "../graph/graph.js";
import type { AttributeReader, Operator, Site } from "./record.js";

/** How messages name a node: `Conv "layer1/conv"`. */
export const at = (node: Node): string =>
  `${node.domain ? `${node.domain}.` : ""}${node.op} "${node.name || node.outputs.find(Boolean) || "unnamed"}"`;

/** The version of a domain in a model; a model that does not say is read as version 1. */
export const opsetOf = (graph: Pick<Graph, "opsets">, domain: string): number => graph.opsets.get(domain) ?? 1;

export class Attributes implements AttributeReader {
  constructor(
    readonly node: Node,
    readonly opset: number,
  ) {}

  has(name: string): boolean {
    return Object.hasOwn(this.node.attributes, name);
  }
  raw(name: string): Attribute | null {
    return this.has(name) ? this.node.attributes[name]! : null;
  }
  int(name: string, fallback?: number): number {
    const a = this.#get(name, "int", fallback !== undefined);
    return a ? this.#safe(name, a.value) : fallback!;
  }
  ints(name: string): readonly number[] | null;
  ints(name: string, fallback: readonly number[]): readonly number[];
  ints(name: string, fallback: readonly number[] | null = null): readonly number[] | null {
    const a = this.#get(name, "ints", true);
    return a ? a.value.map((v) => this.#safe(name, v)) : fallback;
  }
  float(name: string, fallback?: number): number {
    const a = this.#get(name, "float", fallback !== undefined);
    return a ? a.value : fallback!;
  }
  floats(name: string): readonly number[] | null {
    return this.#get(name, "floats", true)?.value ?? null;
  }
  string(name: string, fallback?: string): string {
    const a = this.#get(name, "string", fallback !== undefined);
    return a ? a.value : fallback!;
  }
  tensor(name: string): Tensor | null {
    return this.#get(name, "tensor", true)?.value ?? null;
  }

  #get<K extends Attribute["kind"]>(name: string, kind: K, optional: boolean): Extract<Attribute, { kind: K }> | null {
    const found = this.raw(name);
    if (!found) {
      if (optional) return null;
      throw new PareError(`${at(this.node)}: attribute "${name}" (${kind}) is missing`);
    }
    // An empty list is written without a kind of its own by some exporters; the reader cannot tell ints from floats there.
    if (found.kind !== kind)
      throw new PareError(`${at(this.node)}: attribute "${name}" should be ${kind}, is ${found.kind}`);
    return found as Extract<Attribute, { kind: K }>;
  }
  #safe(name: string, value: Int): number {
    const number = Number(value);
    if (!Number.isSafeInteger(number))
      throw new PareError(`${at(this.node)}: attribute "${name}" is ${value}, beyond the integers Pare counts with`);
    return number;
  }
}

/** What surrounds a node: everything a Site holds except the attributes, which the record reads. */
export interface Place {
  readonly node: Node;
  readonly opset: number;
  readonly x: readonly (ValueType | null)[];
  readonly y?: readonly (ValueType | null)[];
  readonly value?: (i: number) => Tensor | null;
  readonly lengths?: NonNullable<Site["lengths"]>;
  readonly results?: NonNullable<Site["results"]>;
}

/** The site at which `record` is asked about a node. Throws PareError where an attribute is of the wrong kind. */
export const siteOf = (record: Operator, place: Place): Site => ({
  node: place.node,
  opset: place.opset,
  a: record.attrs(new Attributes(place.node, place.opset)),
  x: place.x,
  y: place.y ?? [],
  value: place.value ?? (() => null),
  ...(place.lengths ? { lengths: place.lengths } : {}),
  ...(place.results ? { results: place.results } : {}),
});

/** Type of input i. Throws PareError where the node has none. */
export function need(s: Pick<Site, "node" | "x">, i: number): ValueType {
  const x = s.x[i];
  if (!x) throw new PareError(`${at(s.node)}: input ${i} is missing`);
  return x;
}
