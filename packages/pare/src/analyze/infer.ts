/** Shape inference: a Graph in; out, what every name carries, and the values of small constants and shape arithmetic. */
import { PareError } from "../graph/error.js";
import type { Dim, Graph, Node, Shape, Subgraph, Tensor, Value, ValueType } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { isNone, type Operator, type Site } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { at, siteOf } from "../ops/site.js";
import { isInteger, numbersOf, smallElements, tensorOf } from "../ops/values.js";

/** A small integer tensor some of whose elements are symbols. */
interface Lengths {
  readonly dims: readonly number[];
  readonly elements: Shape;
}

/** What is known of the names of one graph body; names of the graphs around it are found too. */
export class Scope {
  readonly types = new Map<string, ValueType>();
  readonly values = new Map<string, Tensor>();
  readonly lengths = new Map<string, Lengths>();
  constructor(readonly parent: Scope | null = null) {}

  typeOf(name: string): ValueType | null {
    return this.types.get(name) ?? this.parent?.typeOf(name) ?? null;
  }
  valueOf(name: string): Tensor | null {
    return this.values.get(name) ?? (this.types.has(name) ? null : (this.parent?.valueOf(name) ?? null));
  }
  lengthsOf(name: string): Lengths | null {
    return this.lengths.get(name) ?? (this.types.has(name) ? null : (this.parent?.lengthsOf(name) ?? null));
  }
}

export interface Inferred {
  /** Every name of the main graph. shape null: rank unknown; Dim "": length unknown. */
  readonly types: ReadonlyMap<string, ValueType>;
  /** Initialisers, constants and whatever small follows from them and from known shapes. */
  readonly values: ReadonlyMap<string, Tensor>;
  /** The same for each body of If, Loop and Scan, at any depth. */
  readonly bodies: ReadonlyMap<Subgraph, Scope>;
}
export interface InferOptions {
  /** Dims of graph inputs, in place of what the file declares. */
  readonly inputs?: Readonly<Record<string, readonly number[]>>;
}

/** What stays the same all through one inference. */
export interface Inference {
  readonly opsets: ReadonlyMap<string, number>;
  readonly bodies: Map<Subgraph, Scope>;
  /** Shapes that the file declares count where Pare knows none, unless the caller chose dims of its own. */
  readonly trustDeclared: boolean;
  /** Inside a branch that may never run, a contradiction is not an error. */
  readonly lenient: boolean;
}
const unknown: ValueType = { type: "undefined", shape: null };

/** Types and shapes of every name. Throws PareError where shapes contradict one another or `inputs` does not fit; an unknown operator's outputs stay unknown. */
export function infer(graph: Graph, { inputs = {} }: InferOptions = {}): Inferred {
  const stray = Object.keys(inputs).find((name) => !graph.inputs.some((v) => v.name === name));
  if (stray !== undefined)
    throw new PareError(
      `the model has no input "${stray}"; it has ${graph.inputs.map((v) => `"${v.name}"`).join(", ")}`,
    );
  const inference: Inference = {
    opsets: graph.opsets,
    bodies: new Map(),
    trustDeclared: Object.keys(inputs).length === 0,
    lenient: false,
  };
  const given = graph.inputs.map((v) => (inputs[v.name] ? chosen(v, inputs[v.name]!) : sane(v)));
  const scope = inferBody(inference, graph, given, null);
  return { types: scope.types, values: scope.values, bodies: inference.bodies };
}

/** Some exporters write an open length as -1. */
const sane = (v: Value): Value => ({
  ...v,
  shape: v.shape?.map((d) => (typeof d === "number" && d < 0 ? "" : d)) ?? null,
});
function chosen(v: Value, dims: readonly number[]): Value {
  const bad = dims.find((d) => !Number.isSafeInteger(d) || d < 0);
  if (bad !== undefined || (v.shape && v.shape.length !== dims.length))
    throw new PareError(`input "${v.name}" is [${v.shape ?? "?"}] and cannot be given dims [${dims}]`);
  return { ...v, shape: dims };
}

/** Infers one body whose inputs carry `given`. */
function inferBody(
  inference: Inference,
  body: Subgraph,
  given: readonly (ValueType | null)[],
  parent: Scope | null,
): Scope {
  const scope = new Scope(parent);
  body.inputs.forEach((v, i) => {
    scope.types.set(v.name, known(given[i] ?? v, v));
  });
  for (const [name, tensor] of body.initializers) {
    scope.types.set(name, { type: tensor.type, shape: tensor.dims });
    scope.values.set(name, tensor);
  }
  const declared = new Map([...body.values, ...body.outputs.map((v) => [v.name, v] as const)]);
  for (const node of body.nodes) inferNode(inference, scope, node, declared);
  return scope;
}
/** Element type and shape from `first`, completed from `second`. */
const known = (first: ValueType, second: ValueType | undefined): ValueType => ({
  type: first.type === "undefined" ? (second?.type ?? "undefined") : first.type,
  shape: first.shape ?? second?.shape ?? null,
  ...((first.other ?? second?.other) ? { other: first.other ?? second?.other } : {}),
});

/** Infers one node's outputs into `scope`. Throws PareError where its inputs contradict one another. */
export function inferNode(
  inference: Inference,
  scope: Scope,
  node: Node,
  declared: ReadonlyMap<string, ValueType> = new Map(),
): void {
  const record = recordOf(node);
  let y: readonly (ValueType | null)[] = [];
  let site: Site | null = null;
  try {
    if (record) {
      site = siteIn(inference, scope, node, record);
      y = record.shape(site);
    } else inferBodies(inference, scope, node, {});
  } catch (error) {
    if (!inference.lenient) throw named(error, node);
    site = null;
  }
  const types = node.outputs.map((name, k): ValueType => {
    const found = y[k] ?? unknown;
    const said = declared.get(name);
    if (!said) return found;
    return inference.trustDeclared ? known(found, said) : known(found, { ...said, shape: null });
  });
  node.outputs.forEach((name, k) => {
    if (name) scope.types.set(name, types[k]!);
  });
  if (!record || !site) return;
  fold(scope, record, { ...site, y: types });
  follow(scope, record, { ...site, y: types });
}

function named(error: unknown, node: Node): PareError {
  if (error instanceof PareError) return error;
  return new PareError(`${at(node)}: ${error instanceof Error ? error.message : String(error)}`, "input", {
    cause: error,
  });
}

/** The site of a node, its bodies inferred. */
function siteIn(inference: Inference, scope: Scope, node: Node, record: Operator): Site {
  const place = {
    node,
    opset: inference.opsets.get(node.domain) ?? 1,
    x: node.inputs.map((name) => (name ? (scope.typeOf(name) ?? unknown) : null)),
    value: (i: number) => (node.inputs[i] ? scope.valueOf(node.inputs[i]) : null),
    lengths: (i: number) => (node.inputs[i] ? (scope.lengthsOf(node.inputs[i])?.elements ?? null) : null),
  };
  if (!record.bodies) return siteOf(record, place);
  // State that a loop carries may change its shape on the way round: ask until nothing changes.
  let given = record.bodies(siteOf(record, place));
  for (let round = 0; ; round++) {
    const results = inferBodies(inference, scope, node, given);
    const site = siteOf(record, { ...place, results });
    const next = record.bodies(site);
    if (round === 3 || JSON.stringify(shapesOf(next)) === JSON.stringify(shapesOf(given))) return site;
    given = next;
  }
}
const shapesOf = (given: Readonly<Record<string, readonly (ValueType | null)[]>>): (Shape | null)[][] =>
  Object.values(given).map((list) => list.map((v) => v?.shape ?? null));

/** Infers each body of a control-flow node and returns what its outputs carry, by attribute. */
function inferBodies(
  inference: Inference,
  scope: Scope,
  node: Node,
  given: Readonly<Record<string, readonly (ValueType | null)[]>>,
): Record<string, (ValueType | null)[]> {
  const results: Record<string, (ValueType | null)[]> = {};
  for (const [name, a] of Object.entries(node.attributes)) {
    if (a.kind !== "graph") continue;
    const inner = inferBody({ ...inference, lenient: true }, a.value, given[name] ?? [], scope);
    inference.bodies.set(a.value, inner);
    results[name] = a.value.outputs.map((v) => known(inner.typeOf(v.name) ?? unknown, v));
  }
  return results;
}

function fold(scope: Scope, record: Operator, site: Site): void {
  if (isNone(record.fold)) return;
  const small = (i: number) => {
    const value = site.value(i);
    return value && sizeOf(value.dims) <= smallElements ? value : null;
  };
  const values = record.fold({ ...site, value: small });
  values?.forEach((value, k) => {
    const name = site.node.outputs[k];
    if (value && name) {
      scope.values.set(name, value);
      scope.types.set(name, { type: value.type, shape: value.dims });
    }
  });
}

/** Moves symbols as `fold` moves numbers: it is given the places of the elements, and says which went where. */
function follow(scope: Scope, record: Operator, site: Site): void {
  const { node } = site;
  const [first] = node.outputs;
  if (!first || scope.values.has(first)) return;
  const shape = record.lengths?.(site);
  if (shape) scope.lengths.set(first, { dims: [shape.length], elements: shape });
  if (!record.moves || isNone(record.fold)) return;
  const moved = record.moves === "all" ? node.inputs : node.inputs.slice(0, 1);
  if (!moved.some((name) => scope.lengthsOf(name))) return;
  const pool: Dim[] = [];
  const placed = moved.map((name): Tensor | null => {
    const known = scope.lengthsOf(name) ?? asLengths(scope.valueOf(name));
    if (!known) return null;
    const start = pool.length;
    pool.push(...known.elements);
    return tensorOf(
      "int64",
      known.dims,
      known.elements.map((_, i) => start + i),
    );
  });
  if (placed.includes(null)) return;
  const found = record.fold({ ...site, value: (i) => (i < placed.length ? placed[i]! : site.value(i)) });
  found?.forEach((places, k) => {
    const name = node.outputs[k];
    const at = places && isInteger(places.type) ? numbersOf(places) : null;
    if (name && places && at) scope.lengths.set(name, { dims: places.dims, elements: at.map((i) => pool[i]!) });
  });
}
function asLengths(t: Tensor | null): Lengths | null {
  const elements = t && isInteger(t.type) && sizeOf(t.dims) <= smallElements ? numbersOf(t) : null;
  return elements && { dims: t!.dims, elements };
}
