/** The one representation: an ONNX model as plain data. Edges are names, as in ONNX; weights are raw little-endian bytes. */

/** ONNX element types by their usual names; their numbers in TensorProto.DataType are in tensor.ts. */
export type ElementType =
  | "undefined"
  | "float32"
  | "uint8"
  | "int8"
  | "uint16"
  | "int16"
  | "int32"
  | "int64"
  | "string"
  | "bool"
  | "float16"
  | "float64"
  | "uint32"
  | "uint64"
  | "complex64"
  | "complex128"
  | "bfloat16"
  | "float8e4m3fn"
  | "float8e4m3fnuz"
  | "float8e5m2"
  | "float8e5m2fnuz"
  | "uint4"
  | "int4"
  | "float4e2m1"
  | "float8e8m0"
  | "uint2"
  | "int2"
  | "float6e2m3"
  | "float6e3m2";

/** A constant. `bytes` is little-endian and dense (4-bit types: two per byte, low nibble first); empty for strings. */
export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  /** Only for type "string": one UTF-8 byte string per element. */
  readonly strings?: readonly Uint8Array[];
  /** Whatever else the file said of it (doc string, metadata, unknown fields). */
  readonly extra?: unknown;
}

/** An axis length: a number, or the name of a symbol; "" is unknown. */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** What a name carries. `shape` null: rank unknown. `other`: sequences, maps, optionals, kept as they were read. */
export interface ValueType {
  readonly type: ElementType;
  readonly shape: Shape | null;
  readonly other?: unknown;
}
export interface Value extends ValueType {
  readonly name: string;
  readonly extra?: unknown;
}

/** int64: a number while it is a safe integer, else a bigint. */
export type Int = number | bigint;
export type Attribute = AttributeContent & {
  /** Whatever else the file said of it (doc string, unknown fields). */
  readonly extra?: unknown;
};
export type AttributeContent =
  | { readonly kind: "int"; readonly value: Int }
  | { readonly kind: "ints"; readonly value: readonly Int[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: Subgraph }
  | { readonly kind: "graphs"; readonly value: readonly Subgraph[] }
  /** In a function body: the value of the caller's attribute of that name. */
  | { readonly kind: "ref"; readonly value: string; readonly proto: unknown }
  /** Everything else (sparse tensors, type protos, strings that are not UTF-8), kept as it was read. */
  | { readonly kind: "other"; readonly proto: unknown };

export interface Node {
  readonly op: string;
  /** "" is the ONNX standard domain ("ai.onnx" is read as ""). */
  readonly domain: string;
  readonly name: string;
  /** "" marks an absent optional input or output. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly extra?: unknown;
}

/** A graph body: the model's main graph, or the body of If, Loop, Scan. A body may read names of the graphs around it. */
export interface Subgraph {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** In old files (IR < 4) the initialisers' names stand here too. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** What the file says of inner names. */
  readonly values: ReadonlyMap<string, Value>;
  readonly extra?: unknown;
}

/** A model: the main graph and what stands around it in the file. */
export interface Graph extends Subgraph {
  readonly irVersion: number;
  /** Domain ("" for standard ONNX) to version. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Model-local functions, kept as read. */
  readonly functions: readonly FunctionDefinition[];
  /** metadata_props of the model. */
  readonly metadata: ReadonlyMap<string, string>;
}

export interface FunctionDefinition {
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: readonly string[];
  readonly nodes: readonly Node[];
  readonly opsets: ReadonlyMap<string, number>;
  readonly extra?: unknown;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** A copy that its owner may change before handing it out as a Graph: lists and maps are its own; nodes and tensors are shared, so replace them. */
export type Draft = Mutable<
  Omit<Graph, "nodes" | "initializers" | "inputs" | "outputs" | "values" | "opsets" | "metadata">
> & {
  nodes: Node[];
  initializers: Map<string, Tensor>;
  inputs: Value[];
  outputs: Value[];
  values: Map<string, Value>;
  opsets: Map<string, number>;
  metadata: Map<string, string>;
};

export function draft(graph: Graph): Draft {
  return {
    ...graph,
    nodes: [...graph.nodes],
    initializers: new Map(graph.initializers),
    inputs: [...graph.inputs],
    outputs: [...graph.outputs],
    values: new Map(graph.values),
    opsets: new Map(graph.opsets),
    metadata: new Map(graph.metadata),
  };
}

/** A new, empty model of the given standard opset. */
export function emptyGraph(name: string, opset: number): Draft {
  return {
    name,
    nodes: [],
    initializers: new Map(),
    inputs: [],
    outputs: [],
    values: new Map(),
    irVersion: 10,
    opsets: new Map([["", opset]]),
    functions: [],
    metadata: new Map(),
  };
}

/** Inputs the caller must feed: those that no initialiser of the same name stands for. */
export const feeds = (graph: Subgraph): Value[] => graph.inputs.filter((v) => !graph.initializers.has(v.name));
