/** What every writer of quantized nodes shares: fresh names, and each body as it is rewritten. */
import type { AttributeValue } from "../graph/emit.js";
import { namesOf, node } from "../graph/emit.js";
import type { Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { floats, int64s } from "../graph/tensor.js";
import type { CodeType } from "./plan.js";
import type { Wiring } from "./wiring.js";

export class Writer {
  readonly #taken: Set<string>;
  readonly #sheets = new Map<Subgraph, Sheet>();
  #count = 0;
  /** Whether a node of onnxruntime's own domain was written. */
  microsoft = false;
  /** The lowest opset that everything written needs. */
  opset = 13;

  constructor(
    readonly graph: Graph,
    readonly wiring: Wiring,
  ) {
    this.#taken = namesOf(graph);
    this.open(graph);
  }
  open(body: Subgraph): Sheet {
    const sheet = new Sheet(this, body);
    this.#sheets.set(body, sheet);
    return sheet;
  }
  sheetOf(body: Subgraph): Sheet {
    return this.#sheets.get(body)!;
  }
  /** Short, because a name is stored wherever it is read. */
  fresh(hint: string): string {
    let name: string;
    do name = `${hint}${(this.#count++).toString(36)}`;
    while (this.#taken.has(name));
    this.#taken.add(name);
    return name;
  }
}

/** A body while it is rewritten. */
export class Sheet {
  readonly nodes: Node[] = [];
  readonly initializers: Map<string, Tensor>;
  readonly #constants = new Map<string, string>();

  constructor(
    readonly w: Writer,
    readonly body: Subgraph,
  ) {
    this.initializers = new Map(body.initializers);
  }

  /** A small constant of this body, since onnxruntime's fusions do not look for scales in the graphs around it; equal ones are one. */
  constant(tensor: Tensor, hint: string): string {
    const key = `${tensor.type}[${tensor.dims}]${Array.from(tensor.bytes)}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.w.fresh(hint);
    this.initializers.set(name, tensor);
    this.#constants.set(key, name);
    return name;
  }
  floats(values: Float32Array | readonly number[], dims: readonly number[]): string {
    return this.constant(floats(values, dims), "s");
  }
  codes(type: CodeType | "int32", values: ArrayLike<number>, dims: readonly number[]): string {
    return this.constant(codeTensor(type, values, dims), "z");
  }
  bytes(values: Uint8Array, dims: readonly number[]): string {
    return this.constant({ type: "uint8", dims, bytes: values }, "z");
  }
  ints(values: readonly number[]): string {
    return this.constant(int64s(values), "d");
  }
  /** Appends a node with one output of a fresh name, and returns that name. */
  op(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): string {
    return this.ops(op, inputs, [this.w.fresh("q")], attributes, domain)[0]!;
  }
  /** Appends a node with these outputs. Its own name stays empty: onnxruntime gives it one. */
  ops(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): readonly string[] {
    if (domain !== "") this.w.microsoft = true;
    this.nodes.push(node(op, inputs, outputs, attributes, domain, ""));
    return outputs;
  }
}

const arrays = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
} as const;

/** Codes as an ONNX tensor; 4-bit types are packed two to a byte, low nibble first. */
export function codeTensor(type: CodeType | "int32", values: ArrayLike<number>, dims: readonly number[]): Tensor {
  if (type === "int4" || type === "uint4") {
    const bytes = new Uint8Array(Math.ceil(values.length / 2));
    for (let i = 0; i < values.length; i++) bytes[i >> 1]! |= (values[i]! & 15) << (i % 2 ? 4 : 0);
    return { type, dims, bytes };
  }
  const { buffer } = arrays[type].from(values);
  return { type, dims, bytes: new Uint8Array(buffer) };
}
