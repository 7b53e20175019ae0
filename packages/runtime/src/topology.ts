/** The graph without its weights, in both directions. Names inside are numbers: a reference is a distance back in the list of what was defined so far. */
import type { Fields } from "./fields.js";
import { hash } from "./mixer.js";
import {
  type Attribute,
  attributeKinds,
  type ElementType,
  elementTypes,
  type Int,
  type Tensor,
  type ValueType,
} from "./model.js";
import { plainValue } from "./plain-value.js";

/** Input references: 0 absent, 1 the next initialiser (its tensor follows), 2 something defined later or nowhere, 3 + d: d back. */
export const absent = 0;
export const fresh = 1;
export const later = 2;
export const back = 3;
/** Output references: 0 absent, 1 a new definition, 2 + k: the k-th open "later". */
export const fulfils = 2;

/** Something with a name: a graph input, an initialiser or a node's output. `name` is kept where it is needed. */
export interface Defined {
  readonly ref: number;
  readonly name: string | null;
  readonly tensor?: Tensor;
}
export interface NumberedNode {
  readonly op: string;
  readonly domain: string;
  readonly name: string | null;
  readonly attributes: readonly (readonly [string, Attribute<NumberedBody>])[];
  readonly inputs: readonly Defined[];
  readonly outputs: readonly Defined[];
  readonly extra?: unknown;
}
export interface NumberedValue {
  readonly at: Defined;
  readonly type: ValueType;
  readonly extra?: unknown;
}
export interface NumberedBody {
  /** Whether inner names are kept: then `name` is never null. */
  readonly named: boolean;
  readonly name: string | null;
  readonly inputs: readonly NumberedValue[];
  readonly nodes: readonly NumberedNode[];
  /** Initialisers that no node of this body reads, or nodes of a body inside read first. */
  readonly spare: readonly Defined[];
  readonly outputs: readonly NumberedValue[];
  /** What the file says of inner names; only where names are kept. */
  readonly values: readonly (readonly [string, NumberedValue])[];
  readonly extra?: unknown;
}
export interface NumberedFunction {
  readonly body: NumberedBody;
  readonly domain: string;
  readonly overload: string;
  readonly attributes: readonly string[];
  readonly opsets: readonly (readonly [string, number])[];
}
export interface NumberedModel {
  readonly irVersion: number;
  readonly opsets: readonly (readonly [string, number])[];
  readonly metadata: readonly (readonly [string, string])[];
  readonly functions: readonly NumberedFunction[];
  readonly body: NumberedBody;
}

const maxDepth = 100;

export class Topology {
  /** The tensors in the order met: their contents follow the topology. */
  readonly tensors: Tensor[] = [];
  #depth = 0;

  constructor(private readonly f: Fields) {}

  /** Codes a model; a reader passes nothing. */
  model(m?: NumberedModel): NumberedModel {
    const { f } = this;
    return {
      irVersion: f.uint("irVersion", m?.irVersion ?? 0),
      opsets: this.#list("opsets", m?.opsets, (o) => this.#opset(o)),
      metadata: this.#list("metadata", m?.metadata, (e) => [
        f.text("metadata.key", e?.[0] ?? ""),
        f.text("metadata.value", e?.[1] ?? ""),
      ]),
      functions: this.#list("functions", m?.functions, (fn) => ({
        domain: f.word("domain", fn?.domain ?? ""),
        overload: f.word("overload", fn?.overload ?? ""),
        attributes: this.#list("function.attributes", fn?.attributes, (a) => f.word("attribute", a ?? "")),
        opsets: this.#list("opsets", fn?.opsets, (o) => this.#opset(o)),
        body: this.#body(true, fn?.body),
      })),
      body: this.#body(false, m?.body),
    };
  }
  #opset(o?: readonly [string, number]): readonly [string, number] {
    return [this.f.word("domain", o?.[0] ?? ""), this.f.uint("opset", o?.[1] ?? 0)];
  }

  /** `outer`: the names at its border are kept. */
  #body(outer: boolean, b?: NumberedBody): NumberedBody {
    const { f } = this;
    if (++this.#depth > maxDepth) throw f.error(`graphs nested deeper than ${maxDepth}`);
    const named = f.flag("named", b?.named ?? false);
    const border = named || outer || this.#depth === 1;
    const body: NumberedBody = {
      named,
      name: named ? f.text("graph", b?.name ?? "") : null,
      inputs: this.#list("graph.inputs", b?.inputs, (v) => this.#value("in", border, v)),
      spare: this.#list("spare", b?.spare, (d) => this.#defined("spare", named, 1, d)),
      nodes: this.#list("nodes", b?.nodes, (n) => this.#node(named, n)),
      outputs: this.#list("graph.outputs", b?.outputs, (v) => this.#value("out", border, v)),
      values: this.#list("values", b?.values, (e) => [
        f.word("name", e?.[0] ?? ""),
        { at: { ref: absent, name: null }, type: this.#type("value", e?.[1].type), ...this.#extra("value", e?.[1]) },
      ]),
      ...this.#extra("graph", b),
    };
    this.#depth--;
    return body;
  }
  #value(side: "in" | "out", named: boolean, v?: NumberedValue): NumberedValue {
    const at = this.#defined(`graph.${side}`, named, side === "in" ? 0 : 1, v?.at);
    return { at, type: this.#type(side, v?.type), ...this.#extra(side, v) };
  }
  /** A reference, and what a new definition brings along. `kind`: 0 a graph's input, 1 read by a node, 2 written by a node. */
  #defined(field: string, named: boolean, kind: number, d: Defined | undefined, by = 0): Defined {
    const { f } = this;
    const ref = f.uint(`${field}.ref`, d?.ref ?? 0, by);
    const defines = kind === 1 ? ref === fresh || ref === later : ref === fresh;
    // At the graph's border an inner definition gets its name when it is first seen there.
    const nameable = defines || (field === "graph.out" && f.flag("name.kept", d?.name != null));
    const name = named && nameable ? f.word("name", d?.name ?? "") : null;
    const withTensor = kind === 1 ? ref === fresh : kind === 0 && f.flag("input.constant", d?.tensor !== undefined);
    return { ref, name, ...(withTensor ? { tensor: this.#tensor(d?.tensor, by) } : {}) };
  }
  #node(named: boolean, n?: NumberedNode): NumberedNode {
    const { f } = this;
    const op = f.word("op", n?.op ?? "");
    const by = hashText(op);
    return {
      op,
      domain: f.word("domain", n?.domain ?? "", by),
      name: named ? f.text("node", n?.name ?? "") : null,
      attributes: this.#list(
        "attributes",
        n?.attributes,
        (a) => {
          const name = f.word("attribute", a?.[0] ?? "", by);
          return [name, { ...this.#attribute(hash(by, hashText(name)), a?.[1]), ...this.#extra("attribute", a?.[1]) }];
        },
        by,
      ),
      inputs: this.#list("node.inputs", n?.inputs, (d, i) => this.#defined("node.in", named, 1, d, hash(by, i)), by),
      outputs: this.#list("node.outputs", n?.outputs, (d) => this.#defined("node.out", named, 2, d), by),
      ...this.#extra("node", n),
    };
  }
  #attribute(by: number, a?: Attribute<NumberedBody>): Attribute<NumberedBody> {
    const { f } = this;
    const kind = attributeKinds[f.choice("attribute.kind", 4, a ? attributeKinds.indexOf(a.kind) : 0, by)];
    const value = a && "value" in a ? a.value : undefined;
    switch (kind) {
      case "int":
        return { kind, value: this.#int(by, value as Int | undefined) };
      case "ints":
        return { kind, value: this.#list("ints", value as readonly Int[] | undefined, (x) => this.#int(by, x), by) };
      case "float":
        return { kind, value: f.float("float", (value as number | undefined) ?? 0, by) };
      case "floats": {
        const list = value as readonly number[] | undefined;
        return { kind, value: this.#list("floats", list, (x) => f.float("float", x ?? 0, by), by) };
      }
      case "string":
        return { kind, value: f.word("string", (value as string | undefined) ?? "", by) };
      case "strings": {
        const list = value as readonly string[] | undefined;
        return { kind, value: this.#list("strings", list, (x) => f.word("string", x ?? "", by), by) };
      }
      case "tensor":
        return { kind, value: this.#tensor(value as Tensor | undefined, by) };
      case "graph":
        return { kind, value: this.#body(false, value as NumberedBody | undefined) };
      case "graphs": {
        const list = value as readonly NumberedBody[] | undefined;
        return { kind, value: this.#list("graphs", list, (x) => this.#body(false, x)) };
      }
      case "ref":
        return {
          kind,
          value: f.word("attribute", (value as string | undefined) ?? ""),
          proto: plainValue(f, a && "proto" in a ? a.proto : undefined),
        };
      case "other":
        return { kind, proto: plainValue(f, a && "proto" in a ? a.proto : undefined) };
      default:
        throw f.error("unknown attribute kind");
    }
  }
  /** int64: a number where it is a safe integer, else a bigint in 8 bytes. */
  #int(by: number, x: Int = 0): Int {
    const { f } = this;
    if (f.flag("int.wide", typeof x === "bigint" || Math.abs(x) > 2 ** 51)) {
      let v = 0n;
      for (let i = 7; i >= 0; i--)
        v = (v << 8n) | BigInt(f.choice("int.byte", 8, Number((BigInt(x) >> BigInt(8 * i)) & 255n), i));
      const signed = BigInt.asIntN(64, v);
      const safe = signed >= BigInt(Number.MIN_SAFE_INTEGER) && signed <= BigInt(Number.MAX_SAFE_INTEGER);
      return safe ? Number(signed) : signed;
    }
    return f.int("int", Number(x), by);
  }
  /** Type and shape of a tensor; its contents come after the topology. */
  #tensor(t: Tensor | undefined, by: number): Tensor {
    const { f } = this;
    const type = this.#elementType("tensor.type", t?.type, by);
    const dims = this.#list("tensor.rank", t?.dims, (d, i) => f.uint("tensor.dim", d ?? 0, hash(by, i)), by);
    const extra = this.#extra("tensor", t);
    const tensor: Tensor = t ?? { type, dims, bytes: new Uint8Array(), ...extra };
    this.tensors.push(tensor);
    return tensor;
  }
  #elementType(field: string, type: ElementType | undefined, by = 0): ElementType {
    const { f } = this;
    const known = elementTypes[f.choice(field, 5, type ? elementTypes.indexOf(type) : 0, by)];
    if (!known) throw f.error("unknown element type");
    return known;
  }
  #type(side: string, t?: ValueType): ValueType {
    const { f } = this;
    const type = this.#elementType(`${side}.type`, t?.type);
    const ranked = f.flag(`${side}.ranked`, (t?.shape ?? null) !== null);
    const shape = ranked
      ? this.#list(`${side}.rank`, t?.shape ?? undefined, (d) =>
          f.flag("dim.symbol", typeof d === "string")
            ? f.word("symbol", String(d ?? ""))
            : f.uint("dim", Number(d ?? 0)),
        )
      : null;
    const other = f.flag("type.other", t?.other !== undefined) ? { other: plainValue(f, t?.other) } : {};
    return { type, shape, ...other };
  }
  #extra(field: string, x?: { readonly extra?: unknown }): { extra?: unknown } {
    if (!this.f.flag(`${field}.extra`, x?.extra !== undefined)) return {};
    return { extra: plainValue(this.f, x?.extra) };
  }
  #list<T>(field: string, xs: readonly T[] | undefined, each: (x: T | undefined, i: number) => T, by = 0): T[] {
    const n = this.f.count(field, xs?.length ?? 0, by, 4);
    const out: T[] = [];
    for (let i = 0; i < n; i++) out.push(each(xs?.[i], i));
    return out;
  }
}

/** A text as a context. */
export function hashText(s: string): number {
  let h = 0;
  for (let i = 0; i < s.length; i++) h = (Math.imul(h, 31) + s.charCodeAt(i)) | 0;
  return h;
}
