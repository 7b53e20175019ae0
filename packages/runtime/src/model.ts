/** What a packed file holds, as plain data: an ONNX model whose weights are little-endian bytes. */
export type ElementType = (typeof elementTypes)[number];

/** Element types in the order of ONNX's TensorProto.DataType. */
export const elementTypes = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1",
  "float8e8m0",
  "uint2",
  "int2",
  "float6e2m3",
  "float6e3m2",
] as const;

const bits: readonly number[] = [
  0, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16, 8, 8, 8, 8, 4, 4, 4, 8, 2, 2, 6, 6,
];
/** Bits of one element; 0 for strings. */
export const elementBits = (type: ElementType): number => bits[elementTypes.indexOf(type)]!;
/** Elements of a shape. */
export const elements = (dims: readonly number[]): number => dims.reduce((p, d) => p * d, 1);
/** Bytes of a dense tensor: types below 8 bits are packed, low bits first. */
export const byteLength = (type: ElementType, dims: readonly number[]): number =>
  Math.ceil((elements(dims) * elementBits(type)) / 8);

export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  bytes: Uint8Array;
  strings?: readonly Uint8Array[];
  extra?: unknown;
}
export interface ValueType {
  readonly type: ElementType;
  /** null: rank unknown. A string is the name of a symbol, "" unknown. */
  readonly shape: readonly (number | string)[] | null;
  readonly other?: unknown;
}
export interface Value extends ValueType {
  readonly name: string;
  readonly extra?: unknown;
}
export type Int = number | bigint;
export type Attribute<B = Body> = Content<B> & { readonly extra?: unknown };
type Content<B> =
  | { readonly kind: "int"; readonly value: Int }
  | { readonly kind: "ints"; readonly value: readonly Int[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: B }
  | { readonly kind: "graphs"; readonly value: readonly B[] }
  | { readonly kind: "ref"; readonly value: string; readonly proto: unknown }
  | { readonly kind: "other"; readonly proto: unknown };
/** Attribute kinds in the order of their codes. */
export const attributeKinds = [
  "int",
  "ints",
  "float",
  "floats",
  "string",
  "strings",
  "tensor",
  "graph",
  "graphs",
  "ref",
  "other",
] as const;

export interface Node {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly extra?: unknown;
}
export interface Body {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly values: ReadonlyMap<string, Value>;
  readonly extra?: unknown;
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
export interface Model extends Body {
  readonly irVersion: number;
  readonly opsets: ReadonlyMap<string, number>;
  readonly functions: readonly FunctionDefinition[];
  readonly metadata: ReadonlyMap<string, string>;
}
