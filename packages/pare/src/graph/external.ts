/** Tensors whose bytes stand in a file beside the model: which they are, where they stand, and giving them their bytes. */

import { decodeDims } from "./decode-tensor.js";
import { PareError } from "./error.js";
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from "./generated/onnx_pb.js";
import { TensorProto_DataLocation } from "./generated/onnx_pb.js";
import { quote } from "./quote.js";
import { byteLengthOf, elementType } from "./tensor.js";

export interface External {
  readonly where: string;
  /** A path relative to the model's folder, as the file has it: not to be trusted. */
  readonly location: string;
  readonly offset: number;
  readonly length: number;
  /** Puts the bytes where the decoder looks for them. */
  readonly fill: (bytes: Uint8Array) => void;
}

/** All tensors of a model with external data. Throws PareError where offset or length make no sense. */
export function externals(model: ModelProto): External[] {
  const tensors: TensorProto[] = [];
  const keep = (t: TensorProto | undefined) => {
    if (t?.dataLocation === TensorProto_DataLocation.EXTERNAL) tensors.push(t);
  };
  const graph = (g: GraphProto | undefined) => {
    for (const t of g?.initializer ?? []) keep(t);
    for (const s of g?.sparseInitializer ?? []) for (const t of [s.values, s.indices]) keep(t);
    nodes(g?.node ?? []);
  };
  const nodes = (list: readonly NodeProto[]) => {
    for (const n of list) for (const a of n.attribute) attribute(a);
  };
  const attribute = (a: AttributeProto) => {
    for (const t of [a.t, ...a.tensors]) keep(t);
    for (const s of [a.sparseTensor, ...a.sparseTensors]) for (const t of [s?.values, s?.indices]) keep(t);
    for (const g of [a.g, ...a.graphs]) graph(g);
  };
  graph(model.graph);
  for (const info of model.trainingInfo) for (const g of [info.initialization, info.algorithm]) graph(g);
  for (const f of model.functions) {
    nodes(f.node);
    f.attributeProto.forEach(attribute);
  }
  return tensors.map(externalOf);
}

function externalOf(t: TensorProto): External {
  const where = `tensor ${quote(t.name)}`;
  const entry = (key: string) => t.externalData.find((e) => e.key === key)?.value;
  const number = (key: string): number | null => {
    const text = entry(key);
    if (text === undefined || text === "") return null;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
      throw new PareError(`${where}: external data with ${key} ${quote(text)}, which is no position in a file`);
    return value;
  };
  const location = entry("location");
  if (!location) throw new PareError(`${where}: external data without a location`);
  const type = elementType(t.dataType);
  if (type === null || type === "string" || type === "undefined")
    throw new PareError(`${where}: external data of element type ${type ?? t.dataType}`);
  const needs = byteLengthOf(type, decodeDims(t.dims, where));
  const length = number("length") ?? needs;
  if (length !== needs)
    throw new PareError(`${where}: ${type} [${t.dims}] needs ${needs} bytes, its external data have ${length}`);
  return {
    where,
    location,
    offset: number("offset") ?? 0,
    length,
    fill: (bytes) => {
      t.rawData = bytes;
      t.externalData = [];
      t.dataLocation = TensorProto_DataLocation.DEFAULT;
    },
  };
}
