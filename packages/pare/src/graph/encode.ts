/** Graph -> ModelProto as chunks of bytes. Weights are not copied: their chunks are the tensors' own bytes. */

import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { decodeType } from "./decode.js";
import { PareError } from "./error.js";
import type { AttributeProto, TypeProto, ValueInfoProto } from "./generated/onnx_pb.js";
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  GraphProtoSchema,
  AttributeProto_AttributeType as Kind,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "./generated/onnx_pb.js";
import type { Attribute, FunctionDefinition, Graph, Int, Node, Subgraph, Tensor, Value, ValueType } from "./graph.js";
import { Pieces } from "./pieces.js";
import { plain, quote } from "./quote.js";
import { dataTypeNumber } from "./tensor.js";

/** Where an initialiser's bytes stand outside the model's file. */
export interface Place {
  readonly location: string;
  readonly offset: number;
}
/** Says for each initialiser where its bytes go; null: into the model itself. */
export type Placement = (tensor: Tensor) => Place | null;
const inside: Placement = () => null;

/** The model as chunks in order. Throws PareError where a part of it would pass 2 GiB, or an attribute cannot be written. */
export function encode(graph: Graph, placement: Placement = inside): Pieces {
  const { model, ...graphExtra } = (graph.extra ?? {}) as { model?: object };
  const pieces = message(ModelProtoSchema, model, {
    irVersion: BigInt(graph.irVersion),
    opsetImport: opsetImports(graph.opsets),
    metadataProps: [...graph.metadata].map(([key, value]) => ({ key, value })),
  });
  pieces.field(7, encodeGraph({ ...graph, extra: graphExtra }, placement));
  for (const f of graph.functions) pieces.field(25, encodeFunction(f));
  return pieces;
}

/** A graph as the bytes of an .onnx file: pure, for browsers and engines. Throws PareError above 2 GiB. */
export const toBytes = (graph: Graph): Uint8Array => encode(graph).join();

const opsetImports = (opsets: ReadonlyMap<string, number>) =>
  [...opsets].map(([domain, version]) => ({ domain, version: BigInt(version) }));

/** What was read beyond the Graph's fields, and the fields that the Graph speaks for. */
function message<D extends DescMessage>(schema: D, kept: unknown, fields: MessageInitShape<D>): Pieces {
  const proto = Object.assign(create(schema, fields), kept) as MessageShape<D>;
  return new Pieces().add(toBinary(schema, proto));
}

function encodeGraph(g: Subgraph, placement: Placement): Pieces {
  const pieces = new Pieces();
  for (const n of g.nodes) pieces.field(1, encodeNode(n, placement));
  pieces.append(
    message(GraphProtoSchema, g.extra, {
      name: g.name,
      input: g.inputs.map(encodeValue),
      output: g.outputs.map(encodeValue),
      valueInfo: [...g.values.values()].map(encodeValue),
    }),
  );
  for (const [name, t] of g.initializers) pieces.field(5, encodeTensor(name, t, placement(t)));
  return pieces;
}

/** A TensorProto: numbers always as raw_data, or their place in another file. */
export function encodeTensor(name: string, t: Tensor, place: Place | null = null): Pieces {
  const dims = t.dims.map(BigInt);
  const head = { ...(name === "" ? {} : { name }), dims, dataType: dataTypeNumber(t.type) };
  if (t.type === "string") return message(TensorProtoSchema, t.extra, { ...head, stringData: [...(t.strings ?? [])] });
  if (place === null) return message(TensorProtoSchema, t.extra, head).field(9, t.bytes);
  const where = { location: place.location, offset: String(place.offset), length: String(t.bytes.length) };
  return message(TensorProtoSchema, t.extra, {
    ...head,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(where).map(([key, value]) => ({ key, value })),
  });
}

/** Attributes with tensors or bodies are framed around bytes that stay where they are; the others are plain messages. */
function encodeNode(n: Node, placement: Placement): Pieces {
  const light: AttributeProto[] = [];
  const heavy = new Pieces();
  for (const [name, a] of Object.entries(n.attributes)) {
    const framed = framedAttribute(name, a, placement);
    if (framed) heavy.field(5, framed);
    else light.push(plainAttribute(name, a, n));
  }
  return message(NodeProtoSchema, n.extra, {
    input: [...n.inputs],
    output: [...n.outputs],
    ...(n.name === "" ? {} : { name: n.name }),
    opType: n.op,
    ...(n.domain === "" ? {} : { domain: n.domain }),
    attribute: light,
  }).append(heavy);
}

function framedAttribute(name: string, a: Attribute, placement: Placement): Pieces | null {
  const head = (type: Kind) => message(AttributeProtoSchema, a.extra, { name, type });
  switch (a.kind) {
    case "tensor":
      return head(Kind.TENSOR).field(5, encodeTensor("", a.value));
    case "graph":
      return head(Kind.GRAPH).field(6, encodeGraph(a.value, placement));
    case "graphs": {
      const pieces = head(Kind.GRAPHS);
      for (const g of a.value) pieces.field(11, encodeGraph(g, placement));
      return pieces;
    }
    default:
      return null;
  }
}

const utf8 = new TextEncoder();

function plainAttribute(name: string, a: Attribute, n: Node): AttributeProto {
  const set = (type: Kind, fields: MessageInitShape<typeof AttributeProtoSchema>): AttributeProto =>
    Object.assign(create(AttributeProtoSchema, { name, type, ...fields }), a.extra);
  const int = (value: Int): bigint => {
    if (typeof value === "number" && !Number.isSafeInteger(value))
      throw new PareError(
        `node ${plain(n.op)} ${quote(n.name)}, attribute ${quote(name)}: ${value} is not an integer that a number holds exactly`,
      );
    return BigInt(value);
  };
  switch (a.kind) {
    case "int":
      return set(Kind.INT, { i: int(a.value) });
    case "ints":
      return set(Kind.INTS, { ints: a.value.map(int) });
    case "float":
      return set(Kind.FLOAT, { f: Math.fround(a.value) });
    case "floats":
      return set(Kind.FLOATS, { floats: a.value.map(Math.fround) });
    case "string":
      return set(Kind.STRING, { s: utf8.encode(a.value) });
    case "strings":
      return set(Kind.STRINGS, { strings: a.value.map((s) => utf8.encode(s)) });
    case "ref":
    case "other":
      return Object.assign(create(AttributeProtoSchema), a.proto, { name });
    default:
      throw new PareError(`an attribute of kind ${a.kind} has to be framed`);
  }
}

function encodeValue(v: Value): ValueInfoProto {
  const kept = v.extra as Partial<ValueInfoProto> | undefined;
  const type = kept?.type && sameType(decodeType(kept.type, v.name), v) ? kept.type : encodeType(v);
  const proto = Object.assign(create(ValueInfoProtoSchema), kept, { name: v.name });
  if (type) proto.type = type;
  else delete proto.type;
  return proto;
}

const sameType = (a: ValueType, b: ValueType): boolean =>
  a.type === b.type && JSON.stringify(a.shape) === JSON.stringify(b.shape);

function encodeType(v: ValueType): TypeProto | null {
  if (v.other) return v.other as TypeProto;
  if (v.type === "undefined" && v.shape === null) return null;
  const dim = v.shape?.map((d) => ({
    value:
      typeof d === "number"
        ? { case: "dimValue" as const, value: BigInt(d) }
        : d === ""
          ? { case: undefined }
          : { case: "dimParam" as const, value: d },
  }));
  const value = { elemType: dataTypeNumber(v.type), ...(dim ? { shape: { dim } } : {}) };
  return create(TypeProtoSchema, { value: { case: "tensorType", value } });
}

function encodeFunction(f: FunctionDefinition): Pieces {
  const pieces = message(FunctionProtoSchema, f.extra, {
    name: f.name,
    domain: f.domain,
    ...(f.overload === "" ? {} : { overload: f.overload }),
    input: [...f.inputs],
    output: [...f.outputs],
    attribute: [...f.attributes],
    opsetImport: opsetImports(f.opsets),
  });
  for (const n of f.nodes) pieces.field(7, encodeNode(n, inside));
  return pieces;
}
