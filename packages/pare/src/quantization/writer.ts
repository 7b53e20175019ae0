/** What every writer of quantized nodes shares: fresh names, small constants that are stored once, drafts of bodies. */
import type { AttributeValue } from "../graph/emit.js";
import { namesOf, node } from "../graph/emit.js";
import type { Graph, Node, Subgraph, Tensor } from "../graph/graph.js";
import { floats } from "../graph/tensor.js";
import type { CodeType } from "./plan.js";
import type { Wiring } from "./wiring.js";

/** A body while it is rewritten. */
export interface Sheet {
  readonly body: Subgraph;
  readonly nodes: Node[];
  readonly initializers: Map<string, Tensor>;
}

export class Writer {
  readonly #taken: Set<string>;
  readonly #small = new Map<string, string>();
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
    const sheet = { body, nodes: [], initializers: new Map(body.initializers) };
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
  /** A small constant of the main graph, where every body sees it; equal ones are one. */
  constant(tensor: Tensor, hint: string): string {
    const key = `${tensor.type}[${tensor.dims}]${Array.from(tensor.bytes)}`;
    const known = this.#small.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(hint);
    this.sheetOf(this.graph).initializers.set(name, tensor);
    this.#small.set(key, name);
    return name;
  }
  floats(values: Float32Array | readonly number[], dims: readonly number[]): string {
    return this.constant(floats(values, dims), "s");
  }
  codes(type: CodeType | "int32", values: ArrayLike<number>, dims: readonly number[]): string {
    return this.constant(codeTensor(type, values, dims), "z");
  }
  /** Appends a node with one output of a fresh name, and returns that name. */
  op(
    sheet: Sheet,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): string {
    return this.ops(sheet, op, inputs, [this.fresh("q")], attributes, domain)[0]!;
  }
  /** Appends a node with these outputs. Its own name stays empty: onnxruntime gives it one. */
  ops(
    sheet: Sheet,
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = "",
  ): readonly string[] {
    if (domain !== "") this.microsoft = true;
    sheet.nodes.push(node(op, inputs, outputs, attributes, domain, ""));
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
