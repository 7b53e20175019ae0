/** Graph <-> .pare bytes, exact inverses. The layout is the runtime's format.ts. */
import {
  checkedFrom,
  crc32,
  decode,
  Earlier,
  Fields,
  FormatError,
  magic,
  Topology,
  tensorContents,
  version,
} from "@pare/runtime/writer";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import { numberModel } from "./number.js";
import { planOf } from "./plan.js";
import { RangeEncoder } from "./range-encoder.js";

export interface PackOptions {
  /** "best": per tensor the coding that takes the fewest bytes. "deep-compression": as published in 2016, for comparison. */
  readonly coder?: "best" | "deep-compression";
  /** Keep the names of nodes and inner values, doc strings and inner shapes (default false: they are made up anew when unpacking). */
  readonly keepNames?: boolean;
}

/** A model as a .pare file. Tensors keep every bit; graph inputs and outputs keep names, types and shapes. */
export function pack(graph: Graph, options: PackOptions = {}): Uint8Array {
  const io = new RangeEncoder();
  const f = new Fields(io);
  const topology = new Topology(f);
  try {
    topology.model(numberModel(graph, options.keepNames ?? false));
    const earlier = new Earlier();
    for (const t of topology.tensors) tensorContents(io, f, earlier, t, planOf(t, options, earlier));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PareError(`this model cannot be packed: ${error.message}`, "input", { cause: error });
  }
  const { coded, plain } = io.finish();
  const length: number[] = [];
  let n = coded.length;
  for (; n > 127; n = Math.floor(n / 128)) length.push((n % 128) | 128);
  length.push(n);
  const size = checkedFrom + length.length + coded.length + plain.reduce((sum, p) => sum + p.length, 0);
  const out = new Uint8Array(size);
  out.set(magic);
  out[4] = version;
  let at = checkedFrom;
  for (const part of [length, coded, ...plain]) {
    out.set(part, at);
    at += part.length;
  }
  new DataView(out.buffer).setUint32(5, crc32(out.subarray(checkedFrom)), true);
  return out;
}

/** The graph of a .pare file. Throws PareError that says where the file is wrong. */
export function unpack(bytes: Uint8Array): Graph {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PareError(`not a readable .pare file: ${error.message}`, "input", { cause: error });
  }
}
