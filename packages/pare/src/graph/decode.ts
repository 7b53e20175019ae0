/** ModelProto -> Graph. Nothing is copied but names: weights stay views of the file's bytes; what the Graph has no place for goes to `extra`. */

import { check } from "./check.js";
import { decodeDims, decodeTensor } from "./decode-tensor.js";
import { PareError } from "./error.js";
import { extra, rest, typeSaysMore } from "./extra.js";
import type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetIdProto,
  TypeProto,
  ValueInfoProto,
} from "./generated/onnx_pb.js";
import { AttributeProto_AttributeType as Kind } from "./generated/onnx_pb.js";
import type {
  Attribute,
  Dim,
  FunctionDefinition,
  Graph,
  Int,
  Node,
  Shape,
  Subgraph,
  Tensor,
  Value,
  ValueType,
} from "./graph.js";
import { parse } from "./parse.js";
import { plain, quote, say, type Where } from "./quote.js";
import { CycleError, sortNodes } from "./scope.js";
import { elementType } from "./tensor.js";

/** Throws PareError where the message cannot be a model; whether the model makes sense is for `check` to say. */
export function decode(model: ModelProto): Graph {
  if (!model.graph) throw new PareError("the file holds no graph: it is not an ONNX model, or it is cut off");
  const irVersion = Number(model.irVersion);
  const opsets = decodeOpsets(model.opsetImport, "the model");
  // Files from before opset imports existed (IR < 3) mean version 1.
  if (opsets.size === 0 && irVersion < 3) opsets.set("", 1);
  const body = decodeGraph(model.graph, "");
  const taken = ["graph", "irVersion", "opsetImport", "functions", "metadataProps"] as const;
  const kept = rest<ModelProto>(model, taken);
  return {
    ...body,
    irVersion,
    opsets,
    functions: model.functions.map(decodeFunction),
    metadata: new Map(model.metadataProps.map((p) => [p.key, p.value])),
    ...extra(body.extra || kept ? { ...(body.extra as object), ...(kept ? { model: kept } : {}) } : undefined),
  };
}

export const domainOf = (domain: string): string => (domain === "ai.onnx" ? "" : domain);

function decodeOpsets(imports: readonly OperatorSetIdProto[], where: string): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of imports) {
    const known = opsets.get(domainOf(domain));
    if (known !== undefined && known !== Number(version))
      throw new PareError(`${where} imports domain ${quote(domain)} at versions ${known} and ${version}`);
    opsets.set(domainOf(domain), Number(version));
  }
  return opsets;
}

/** `within` leads error texts: the path of nodes around a body, "" for the main graph. */
function decodeGraph(g: GraphProto, within: string): Subgraph {
  const initializers = new Map<string, Tensor>();
  for (const t of g.initializer) {
    if (initializers.has(t.name)) throw new PareError(`${within}two initialisers are named ${quote(t.name)}`);
    initializers.set(
      t.name,
      decodeTensor(t, () => `${within}initialiser ${quote(t.name)}`),
    );
  }
  const taken = ["node", "name", "initializer", "input", "output", "valueInfo"] as const;
  return {
    name: g.name,
    nodes: decodeNodes(g.node, within),
    initializers,
    inputs: g.input.map((v) => decodeValue(v, within)),
    outputs: g.output.map((v) => decodeValue(v, within)),
    values: new Map(g.valueInfo.map((v) => [v.name, decodeValue(v, within)])),
    ...extra(rest<GraphProto>(g, taken)),
  };
}

/** ONNX wants nodes sorted, onnxruntime does not care: the Graph has them sorted. */
function decodeNodes(nodes: readonly NodeProto[], within: string): readonly Node[] {
  try {
    return sortNodes(
      nodes.map((n, i) => decodeNode(n, () => `${within}node ${i} ${plain(n.opType)} ${quote(n.name)}`)),
    );
  } catch (error) {
    if (error instanceof CycleError && within) throw new PareError(within + error.message);
    throw error;
  }
}

function decodeNode(n: NodeProto, where: Where): Node {
  const attributes = Object.fromEntries(
    n.attribute.map((a) => [a.name, decodeAttribute(a, () => `${say(where)}, attribute ${quote(a.name)}`)]),
  );
  if (Object.keys(attributes).length !== n.attribute.length)
    throw new PareError(
      `${say(where)}: an attribute stands there twice: ${n.attribute
        .map((a) => quote(a.name))
        .join(", ")
        .slice(0, 200)}`,
    );
  return {
    op: n.opType,
    domain: domainOf(n.domain),
    name: n.name,
    inputs: n.input,
    outputs: n.output,
    attributes,
    ...extra(rest<NodeProto>(n, ["opType", "domain", "name", "input", "output", "attribute"])),
  };
}

export const toInt = (value: bigint): Int =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function text(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/** Files from before attributes had a type (IR 1) show it by the one field that is set. */
function kindOf(a: AttributeProto): Kind {
  if (a.type !== Kind.UNDEFINED) return a.type;
  if (Object.hasOwn(a, "f")) return Kind.FLOAT;
  if (Object.hasOwn(a, "i")) return Kind.INT;
  if (Object.hasOwn(a, "s")) return Kind.STRING;
  if (a.t) return Kind.TENSOR;
  if (a.g) return Kind.GRAPH;
  if (a.floats.length) return Kind.FLOATS;
  if (a.ints.length) return Kind.INTS;
  if (a.strings.length) return Kind.STRINGS;
  return a.graphs.length ? Kind.GRAPHS : Kind.UNDEFINED;
}

export function decodeAttribute(a: AttributeProto, where: Where): Attribute {
  if (a.name === "") throw new PareError(`${say(where)}: has no name`);
  if (a.refAttrName !== "") return { kind: "ref", value: a.refAttrName, proto: a };
  const besides = (field: keyof AttributeProto & string) => extra(rest<AttributeProto>(a, ["name", "type", field]));
  switch (kindOf(a)) {
    case Kind.FLOAT:
      return { kind: "float", value: a.f, ...besides("f") };
    case Kind.INT:
      return { kind: "int", value: toInt(a.i), ...besides("i") };
    case Kind.FLOATS:
      return { kind: "floats", value: a.floats, ...besides("floats") };
    case Kind.INTS:
      return { kind: "ints", value: a.ints.map(toInt), ...besides("ints") };
    case Kind.STRING: {
      const value = text(a.s);
      return value === null ? { kind: "other", proto: a } : { kind: "string", value, ...besides("s") };
    }
    case Kind.STRINGS: {
      const value = a.strings.map(text);
      return value.includes(null)
        ? { kind: "other", proto: a }
        : { kind: "strings", value: value as string[], ...besides("strings") };
    }
    case Kind.TENSOR:
      if (!a.t) throw new PareError(`${say(where)}: is of type tensor and holds none`);
      // A tensor in an attribute may bear a name, which means nothing.
      return { kind: "tensor", value: decodeTensor(a.t, where), ...besides("t") };
    case Kind.GRAPH:
      if (!a.g) throw new PareError(`${say(where)}: is of type graph and holds none`);
      return { kind: "graph", value: decodeGraph(a.g, `${say(where)}: `), ...besides("g") };
    case Kind.GRAPHS:
      return {
        kind: "graphs",
        value: a.graphs.map((g, i) => decodeGraph(g, `${say(where)}[${i}]: `)),
        ...besides("graphs"),
      };
    default:
      return { kind: "other", proto: a };
  }
}

function decodeValue(v: ValueInfoProto, within: string): Value {
  const type = v.type;
  const kept = rest<ValueInfoProto>(v, type && typeSaysMore(type) ? ["name"] : ["name", "type"]);
  return { name: v.name, ...decodeType(type, () => `${within}${quote(v.name)}`), ...extra(kept) };
}

/** What a TypeProto says of a tensor; every other type is kept whole in `other`. */
export function decodeType(type: TypeProto | undefined, where: Where): ValueType {
  if (type === undefined || type.value.case === undefined) return { type: "undefined", shape: null };
  const tensor = type.value.case === "tensorType" ? type.value.value : null;
  const known = tensor && elementType(tensor.elemType);
  if (!tensor || known === null) return { type: "undefined", shape: null, other: type };
  const shape: Shape | null =
    tensor.shape?.dim.map((d): Dim => {
      if (d.value.case === "dimParam") return d.value.value;
      // Negative lengths occur in the wild and mean "unknown".
      if (d.value.case !== "dimValue" || d.value.value < 0) return "";
      return decodeDims([d.value.value], where)[0]!;
    }) ?? null;
  return { type: known, shape };
}

function decodeFunction(f: FunctionProto): FunctionDefinition {
  const within = `function ${plain(`${f.domain}:${f.name}`)}: `;
  const taken = ["name", "domain", "overload", "input", "output", "attribute", "node", "opsetImport"] as const;
  return {
    name: f.name,
    domain: domainOf(f.domain),
    overload: f.overload,
    inputs: f.input,
    outputs: f.output,
    attributes: f.attribute,
    nodes: decodeNodes(f.node, within),
    opsets: decodeOpsets(f.opsetImport, within),
    ...extra(rest<FunctionProto>(f, taken)),
  };
}

/** A graph from the bytes of an .onnx file without external data: pure, for browsers. Sorts nodes and runs `check`; throws PareError. */
export function fromBytes(bytes: Uint8Array): Graph {
  const graph = decode(parse(bytes));
  check(graph);
  return graph;
}
