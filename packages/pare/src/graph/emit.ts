/** Appends nodes to a draft with fresh names: gradients, optimizers, losses, builders and rewrites all speak through it. */
import type { Attribute, Draft, ElementType, Int, Node, Tensor } from "./graph.js";
import { dataTypeNumber, int64s } from "./tensor.js";

/** Plain values for attributes: integers are "int", { float: x } or a non-integer is "float". */
export type AttributeValue =
  | number
  | bigint
  | string
  | readonly Int[]
  | readonly string[]
  | { float: number }
  | { floats: readonly number[] }
  | Attribute;

export function attribute(value: AttributeValue): Attribute {
  if (typeof value === "number") return Number.isInteger(value) ? { kind: "int", value } : { kind: "float", value };
  if (typeof value === "bigint") return { kind: "int", value };
  if (typeof value === "string") return { kind: "string", value };
  if (Array.isArray(value)) {
    return typeof value[0] === "string"
      ? { kind: "strings", value: value as readonly string[] }
      : { kind: "ints", value: value as readonly Int[] };
  }
  if ("float" in value) return { kind: "float", value: value.float };
  if ("floats" in value) return { kind: "floats", value: value.floats };
  return value as Attribute;
}

/** A node as data, for those who place it themselves. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  domain = "",
  name = outputs[0] ?? op,
): Node {
  const attrs = Object.fromEntries(Object.entries(attributes).map(([k, v]) => [k, attribute(v)]));
  return { op, domain, name, inputs, outputs, attributes: attrs };
}

export class Emitter {
  readonly #taken: Set<string>;
  readonly #constants = new Map<string, string>();
  #counter = 0;

  constructor(
    readonly graph: Draft,
    /** Element type of `scalar` and `full`: float64 only in reference computations. */
    readonly floatType: "float32" | "float64" = "float32",
    /** Leads every fresh name. */
    readonly prefix = "",
  ) {
    this.#taken = namesOf(graph);
    // A new node is called after its output: onnxruntime refuses two nodes of one name.
    for (const n of graph.nodes) if (n.name) this.#taken.add(n.name);
  }

  /** A name nobody uses yet. */
  fresh(hint: string): string {
    let name: string;
    do name = `${this.prefix}${hint}_${this.#counter++}`;
    while (this.#taken.has(name));
    this.#taken.add(name);
    return name;
  }
  /** Appends a node with one output and returns the output's name. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): string {
    return this.ops(type, inputs, attributes, 1, domain)[0]!;
  }
  /** Appends a node with `count` outputs. */
  ops(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>>,
    count: number,
    domain = "",
  ): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(type));
    this.graph.nodes.push(node(type, inputs, outputs, attributes, domain));
    return outputs;
  }
  /** Appends a node whose outputs are already named. */
  push(n: Node): void {
    this.graph.nodes.push(n);
    for (const o of n.outputs) this.#taken.add(o);
  }
  /** Adds an initialiser; equal small constants are shared. */
  constant(tensor: Tensor, hint = "const"): string {
    const key =
      tensor.bytes.length <= 1024 && !tensor.strings ? `${tensor.type}[${tensor.dims}]${hex(tensor.bytes)}` : null;
    const known = key && this.#constants.get(key);
    if (known) return known;
    const name = this.fresh(hint);
    this.graph.initializers.set(name, tensor);
    if (key) this.#constants.set(key, name);
    return name;
  }
  ints(values: readonly Int[]): string {
    return this.constant(int64s(values));
  }
  /** A rank-0 constant of the emitter's float type. */
  scalar(value: number): string {
    return this.full(value, []);
  }
  /** A constant of the emitter's float type, filled with one value. */
  full(value: number, dims: readonly number[]): string {
    const size = dims.reduce((p, d) => p * d, 1);
    const data = this.floatType === "float64" ? new Float64Array(size).fill(value) : new Float32Array(size).fill(value);
    return this.constant({ type: this.floatType, dims, bytes: new Uint8Array(data.buffer) });
  }
  reshape(x: string, dims: readonly Int[]): string {
    return this.op("Reshape", [x, this.ints(dims)]);
  }
  reduceSum(x: string, axes: readonly number[], keepdims = false): string {
    return this.op("ReduceSum", [x, this.ints(axes)], { keepdims: keepdims ? 1 : 0 });
  }
  /** Every how-manieth element along each of these axes, from the first on. */
  everyOf(x: string, axes: readonly number[], steps: readonly number[]): string {
    if (steps.every((s) => s === 1)) return x;
    const [starts, ends] = [axes.map(() => 0), axes.map(() => Number.MAX_SAFE_INTEGER)];
    return this.op("Slice", [x, this.ints(starts), this.ints(ends), this.ints(axes), this.ints(steps)]);
  }
  transpose(x: string, perm: readonly number[]): string {
    return this.op("Transpose", [x], { perm });
  }
  cast(x: string, to: ElementType): string {
    return this.op("Cast", [x], { to: dataTypeNumber(to) });
  }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

/** Every name that occurs in a graph, bodies of control flow included. */
export function namesOf(graph: {
  nodes: readonly Node[];
  initializers: ReadonlyMap<string, Tensor>;
  inputs: readonly { name: string }[];
}): Set<string> {
  const names = new Set<string>(graph.initializers.keys());
  for (const v of graph.inputs) names.add(v.name);
  for (const n of graph.nodes) {
    for (const o of [...n.inputs, ...n.outputs]) names.add(o);
    for (const a of Object.values(n.attributes)) {
      const bodies = a.kind === "graph" ? [a.value] : a.kind === "graphs" ? a.value : [];
      for (const body of bodies) for (const name of namesOf(body)) names.add(name);
    }
  }
  return names;
}
