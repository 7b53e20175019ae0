/** Numbered references -> names: kept ones as they were, the rest made up from operator and position. */
import { FormatError } from "./error.js";
import type { Attribute, Body, FunctionDefinition, Model, Node, Tensor, Value } from "./model.js";
import {
  absent,
  back,
  type Defined,
  fresh,
  fulfils,
  later,
  type NumberedBody,
  type NumberedModel,
} from "./topology.js";

/** Something that will have a name once all kept names are known. */
interface Definition {
  name: string | null;
  readonly hint: string;
}
type Late<T> = () => T;

/** Throws FormatError where a reference points outside what was defined. */
export function nameModel(m: NumberedModel): Model {
  const naming = new Naming();
  const functions = m.functions.map((fn) => {
    const body = naming.body(fn.body, []);
    return (): FunctionDefinition => {
      const { name, inputs, outputs, nodes, extra } = body();
      return {
        name,
        domain: fn.domain,
        overload: fn.overload,
        inputs: inputs.map((v) => v.name),
        outputs: outputs.map((v) => v.name),
        attributes: fn.attributes,
        nodes,
        opsets: new Map(fn.opsets),
        ...(extra === undefined ? {} : { extra }),
      };
    };
  });
  const body = naming.body(m.body, []);
  naming.finish();
  return {
    ...body(),
    irVersion: m.irVersion,
    opsets: new Map(m.opsets),
    functions: functions.map((fn) => fn()),
    metadata: new Map(m.metadata),
  };
}

class Naming {
  readonly #all: Definition[] = [];
  #nodes = 0;
  #bodies = 0;

  body(b: NumberedBody, outer: readonly Definition[]): Late<Body> {
    const seen = [...outer];
    const open: Definition[] = [];
    const initializers: [Definition, Tensor][] = [];
    const number = this.#bodies++;

    const define = (name: string | null, hint: string, tensor?: Tensor): Definition => {
      const d = { name, hint };
      this.#all.push(d);
      seen.push(d);
      if (tensor) initializers.push([d, tensor]);
      return d;
    };
    const read = (d: Defined, hint: string): Definition | null => {
      if (d.ref === absent) return null;
      if (d.ref === fresh) return define(d.name, hint, d.tensor);
      if (d.ref === later) {
        const made = define(d.name, hint);
        open.push(made);
        return made;
      }
      const found = seen[seen.length - 1 - (d.ref - back)];
      if (!found) throw new FormatError(`${d.ref - back} back, only ${seen.length} are defined`, hint);
      return found;
    };
    const written = (d: Defined, hint: string): Definition | null => {
      if (d.ref === absent) return null;
      if (d.ref === fresh) return define(d.name, hint);
      const [found] = open.splice(d.ref - fulfils, 1);
      if (!found) throw new FormatError("defines what nobody waits for", hint);
      return found;
    };
    const bordering = (d: Definition, v: NumberedBody["inputs"][number]): Late<Value> => {
      const { shape, type, other } = v.type;
      const more = { ...(other === undefined ? {} : { other }), ...(v.extra === undefined ? {} : { extra: v.extra }) };
      return () => ({ name: d.name!, type, shape, ...more });
    };

    const inputs = b.inputs.map((v, i) => bordering(define(v.at.name, `input_${number}_${i}`, v.at.tensor), v));
    for (const [i, d] of b.spare.entries()) read(d, `constant_${number}_${i}`);
    const nodes = b.nodes.map((n) => {
      const hint = `${n.op}_${this.#nodes++}`;
      const attributes = n.attributes.map(([name, a]) => [name, this.#attribute(a, seen)] as const);
      const ins = n.inputs.map((d, i) => read(d, `${hint}.${i}`));
      const outs = n.outputs.map((d, i) => written(d, i ? `${hint}:${i}` : hint));
      return (): Node => ({
        op: n.op,
        domain: n.domain,
        name: n.name ?? hint,
        inputs: ins.map((d) => d?.name ?? ""),
        outputs: outs.map((d) => d?.name ?? ""),
        attributes: Object.fromEntries(attributes.map(([name, a]) => [name, a()])),
        ...(n.extra === undefined ? {} : { extra: n.extra }),
      });
    });
    const outputs = b.outputs.map((v, i) => {
      const d = read(v.at, `output_${number}_${i}`) ?? define(v.at.name ?? "", "");
      d.name ??= v.at.name;
      return bordering(d, v);
    });
    const values = b.values.map(([name, v]) => [name, bordering({ name, hint: name }, v)()] as const);
    return () => ({
      name: b.name ?? `graph_${number}`,
      nodes: nodes.map((n) => n()),
      initializers: new Map(initializers.map(([d, t]) => [d.name!, t])),
      inputs: inputs.map((v) => v()),
      outputs: outputs.map((v) => v()),
      values: new Map(values),
      ...(b.extra === undefined ? {} : { extra: b.extra }),
    });
  }
  #attribute(a: Attribute<NumberedBody>, seen: readonly Definition[]): Late<Attribute> {
    if (a.kind === "graph") {
      const body = this.body(a.value, seen);
      return () => ({ ...a, value: body() });
    }
    if (a.kind === "graphs") {
      const bodies = a.value.map((b) => this.body(b, seen));
      return () => ({ ...a, value: bodies.map((b) => b()) });
    }
    return () => a;
  }
  /** Gives the nameless their names. */
  finish(): void {
    const taken = new Set(this.#all.map((d) => d.name));
    for (const d of this.#all) {
      if (d.name !== null) continue;
      let name = d.hint;
      while (taken.has(name)) name += "_";
      taken.add(name);
      d.name = name;
    }
  }
}
