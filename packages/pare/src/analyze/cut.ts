/** Channels taken out of a graph for good, or set to zero in it: a coupled graph and the channels to go come in, a new Graph comes out. */
import { node as makeNode } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import {
  type Attribute,
  type Draft,
  draft,
  type Graph,
  type Node,
  type Tensor,
  type ValueType,
} from "../graph/graph.js";
import type { Kept } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { at, siteOf } from "../ops/site.js";
import { isFloat, numbersOf, tensorOf } from "../ops/values.js";
import type { Axis, Channel } from "./axes.js";
import { type Coupling, constantsOf, type Use } from "./couple.js";
import { survivors } from "./groups.js";
import { type Inference, inferNode, Scope } from "./infer.js";
import { keepIndices, zeroIndices } from "./tensor-cut.js";

/** One mask per axis; null where every index survives. */
type Masks = readonly (readonly boolean[] | null)[];

/** The graph with the channels' indices cut out of every constant, and every number that repeats a size mended. Throws PareError where a node cannot follow or an axis would lose all of its indices. */
export function cut(coupling: Coupling, removed: ReadonlySet<Channel>): Graph {
  leavesSome(coupling, removed);
  const d = withConstants(coupling, removed, keepIndices);
  new Mending(coupling, removed, d).run();
  d.values = new Map();
  return d;
}
/** The same graph with these indices set to zero instead: what `cut` must compute too. */
export function masked(coupling: Coupling, removed: ReadonlySet<Channel>): Graph {
  return withConstants(coupling, removed, zeroIndices);
}

function leavesSome(coupling: Coupling, removed: ReadonlySet<Channel>): void {
  for (const use of coupling.uses)
    for (const [d, mask] of masksOf(use, removed).entries())
      if (mask?.every((alive) => !alive))
        throw new PareError(
          `${at(use.node)}: all ${mask.length} indices of axis ${d} of "${use.tensor}" would go; leave one`,
          "usage",
        );
}
const masksOf = (use: Use, removed: ReadonlySet<Channel>): Masks => use.axes.map((axis) => survivors(axis, removed));
const fingerprint = (masks: Masks): string =>
  masks
    .map((m) => (m ? m.map(Number).join("") : ""))
    .join("|")
    .replace(/^\|*$/, "");

/** Edits every constant for each of its readers; readers that want different parts of one get copies of their own. */
function withConstants(
  coupling: Coupling,
  removed: ReadonlySet<Channel>,
  edit: (t: Tensor, masks: Masks) => Tensor,
): Draft {
  const { graph } = coupling;
  const d = draft(graph);
  const constants = constantsOf(graph);
  const byTensor = new Map<string, Use[]>();
  for (const use of coupling.uses) byTensor.set(use.tensor, [...(byTensor.get(use.tensor) ?? []), use]);
  const renamed = new Map<Node, Map<number, string>>();
  const taken = new Set([...constants.keys(), ...coupling.axes.keys(), ...graph.inputs.map((v) => v.name)]);
  for (const [name, uses] of byTensor) {
    const versions = new Map<string, Use[]>();
    for (const use of uses) {
      const key = fingerprint(masksOf(use, removed));
      versions.set(key, [...(versions.get(key) ?? []), use]);
    }
    const alone = uses.length === readersOf(graph, name);
    for (const [key, mine] of versions) {
      if (key === "") continue;
      const tensor = edit(constants.get(name)!, masksOf(mine[0]!, removed));
      if (alone && versions.size === 1) replace(d, name, tensor);
      else {
        const own = freshName(`${name}.${mine[0]!.node.name || mine[0]!.node.outputs[0]}`, taken);
        d.initializers.set(own, tensor);
        for (const use of mine)
          renamed.set(use.node, (renamed.get(use.node) ?? new Map<number, string>()).set(use.input, own));
      }
    }
  }
  d.nodes = d.nodes.map((n) => {
    const names = renamed.get(n);
    return names ? { ...n, inputs: n.inputs.map((name, i) => names.get(i) ?? name) } : n;
  });
  return d;
}
function freshName(hint: string, taken: Set<string>): string {
  let name = hint;
  for (let k = 1; taken.has(name); k++) name = `${hint}.${k}`;
  taken.add(name);
  return name;
}
/** How often a name is read, bodies and graph outputs included. */
function readersOf(graph: Pick<Graph, "nodes" | "outputs">, name: string): number {
  let count = graph.outputs.filter((v) => v.name === name).length;
  for (const n of graph.nodes) {
    count += n.inputs.filter((i) => i === name).length;
    for (const a of Object.values(n.attributes)) if (a.kind === "graph") count += readersOf(a.value, name);
  }
  return count;
}
/** Puts a tensor in the place of an initialiser or of a Constant node's value. */
function replace(d: Draft, name: string, tensor: Tensor): void {
  if (d.initializers.has(name)) {
    d.initializers.set(name, tensor);
    const declared = d.inputs.findIndex((v) => v.name === name);
    if (declared >= 0) d.inputs[declared] = { ...d.inputs[declared]!, shape: tensor.dims };
    return;
  }
  const k = d.nodes.findIndex((n) => n.outputs[0] === name);
  d.nodes[k] = { ...d.nodes[k]!, attributes: { value: { kind: "tensor", value: tensor } } };
}

/** Walks the nodes of the cut graph and mends what repeats a size: attributes, literals, computed shapes. */
class Mending {
  readonly #scope = new Scope();
  readonly #inference: Inference;
  readonly #nodes: Node[] = [];
  readonly #taken: Set<string>;
  readonly #constants: ReadonlyMap<string, Tensor>;
  readonly #uses = new Map<Node, Map<number, Use>>();
  readonly #survivors = new Map<Axis, readonly boolean[] | null>();

  constructor(
    readonly coupling: Coupling,
    readonly removed: ReadonlySet<Channel>,
    readonly d: Draft,
  ) {
    this.#inference = { opsets: d.opsets, bodies: new Map(), trustDeclared: false, lenient: false };
    this.#constants = constantsOf(coupling.graph);
    for (const use of coupling.uses)
      this.#uses.set(use.node, (this.#uses.get(use.node) ?? new Map<number, Use>()).set(use.input, use));
    this.#taken = new Set([...d.initializers.keys(), ...d.nodes.flatMap((n) => n.outputs)]);
  }

  run(): void {
    const { d, coupling } = this;
    const known = (name: string, type: ValueType) => this.#scope.types.set(name, type);
    for (const v of d.inputs) known(v.name, coupling.inferred.types.get(v.name) ?? v);
    for (const [name, t] of d.initializers) this.#constant(name, t);
    d.nodes.forEach((n, i) => {
      this.#step(n, coupling.graph.nodes[i]!);
    });
    d.nodes = this.#nodes;
  }
  #constant(name: string, t: Tensor): void {
    this.#scope.types.set(name, { type: t.type, shape: t.dims });
    this.#scope.values.set(name, t);
  }
  #addConstant(hint: string, t: Tensor): string {
    const name = freshName(hint, this.#taken);
    this.d.initializers.set(name, t);
    this.#constant(name, t);
    return name;
  }
  #push(n: Node): void {
    this.#nodes.push(n);
    inferNode(this.#inference, this.#scope, n);
  }

  #step(n: Node, original: Node): void {
    const masks = this.#masks(original);
    const touched = [...masks.x, ...masks.y].some((m) => m?.some(Boolean));
    this.#push(touched ? this.#mended(n, original, masks) : n);
    original.outputs.forEach((name, k) => {
      this.#verify(original, name, masks.y[k] ?? null);
      this.#freeze(name);
    });
  }
  /** Masks of a node's inputs and outputs; null where its axes were not followed. */
  #masks(original: Node): { x: (Masks | null)[]; y: (Masks | null)[] } {
    const of = (name: string, input: number): Masks | null => {
      const found = this.#uses.get(original)?.get(input)?.axes ?? this.coupling.axes.get(name);
      return found?.map((axis) => this.#survive(axis)) ?? null;
    };
    return { x: original.inputs.map(of), y: original.outputs.map((name) => of(name, -1)) };
  }
  #survive(axis: Axis): readonly boolean[] | null {
    let mask = this.#survivors.get(axis);
    if (mask === undefined) this.#survivors.set(axis, (mask = survivors(axis, this.removed)));
    return mask;
  }
  #dims(name: string, masks: Masks | null): readonly number[] | null {
    const shape = this.coupling.inferred.types.get(name)?.shape ?? null;
    if (!shape?.every((d) => typeof d === "number")) return null;
    return shape.map((n, d) => masks?.[d]?.filter(Boolean).length ?? (n as number));
  }

  #mended(n: Node, original: Node, masks: { x: (Masks | null)[]; y: (Masks | null)[] }): Node {
    const record = recordOf(original);
    if (!record || record.rewrite === "none needed") return n;
    const { types, values } = this.coupling.inferred;
    const typeOf = (name: string) => (name ? (types.get(name) ?? null) : null);
    const kept: Kept = {
      x: original.inputs.map((name, i) => this.#dims(name, masks.x[i]!)),
      y: original.outputs.map((name, k) => this.#dims(name, masks.y[k]!)),
      has: (i, d, k) => masks.x[i]?.[d]?.[k] ?? true,
      before: (i, d, k) => masks.x[i]?.[d]?.slice(0, k).filter(Boolean).length ?? k,
    };
    const site = siteOf(record, {
      node: original,
      opset: this.d.opsets.get(original.domain) ?? 1,
      x: original.inputs.map(typeOf),
      y: original.outputs.map(typeOf),
      value: (i) => (original.inputs[i] ? (values.get(original.inputs[i]) ?? null) : null),
    });
    const changes = record.rewrite(site, kept);
    const attributes: Record<string, Attribute> = { ...n.attributes };
    for (const [name, value] of Object.entries(changes.attributes ?? {})) {
      if (value) attributes[name] = value;
      else delete attributes[name];
    }
    const inputs = [...n.inputs];
    for (const [i, tensor] of Object.entries(changes.inputs ?? {})) {
      while (inputs.length <= Number(i)) inputs.push("");
      inputs[Number(i)] = this.#supply(inputs[Number(i)]!, tensor, at(original));
    }
    return { ...n, attributes, inputs };
  }

  /** A name for `wanted`: what is there where it says so already, a corrected sum where it is computed, else a new constant. */
  #supply(name: string, wanted: Tensor, label: string): string {
    const have = name ? this.#scope.valueOf(name) : null;
    const [now, goal] = [have && numbersOf(have), numbersOf(wanted)!];
    const same = now?.length === goal.length;
    if (now && same && now.every((v, i) => v === goal[i])) return name;
    const computed = name !== "" && !this.d.initializers.has(name) && !this.#constants.has(name);
    if (!computed || !now || !same) return this.#addConstant(`${label}.size`, wanted);
    // Shape arithmetic stays, so that the batch stays open: what the cut made wrong in it is added.
    const delta = tensorOf(
      have!.type,
      have!.dims,
      goal.map((v, i) => v - now[i]!),
    )!;
    const sum = freshName(`${name}.mended`, this.#taken);
    this.#push(makeNode("Add", [name, this.#addConstant(`${name}.delta`, delta)], [sum]));
    return sum;
  }

  #verify(original: Node, name: string, masks: Masks | null): void {
    const expected = this.#dims(name, masks);
    const found = this.#scope.typeOf(name)?.shape;
    if (!name || !masks || !expected || !found) return;
    if (found.length !== expected.length || found.some((d, i) => typeof d === "number" && d !== expected[i]))
      throw new PareError(`${at(original)}: after the cut "${name}" should be [${expected}] and is [${found}]`);
  }

  /** A float that was computed from a size, such as 1/sqrt(d), stays what the network was trained with. */
  #freeze(name: string): void {
    const [before, after] = [this.coupling.inferred.values.get(name), this.#scope.values.get(name)];
    if (!before || !after || !isFloat(before.type) || before.dims.join() !== after.dims.join()) return;
    if (before.bytes.every((b, i) => b === after.bytes[i])) return;
    this.#nodes.pop();
    this.d.initializers.set(name, before);
    this.#constant(name, before);
  }
}
