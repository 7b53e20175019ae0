/** Graph <-> .pare bytes, exact inverses. The layout is the runtime's format.ts. */
import {
  checkedFrom,
  crc32,
  decode,
  Earlier,
  Fields,
  FormatError,
  magic,
  type Plan,
  type Tensor,
  Topology,
  tensorContents,
  version,
} from "@pare/runtime/writer";
import { check } from "../graph/check.js";
import { PareError } from "../graph/error.js";
import type { Graph } from "../graph/graph.js";
import type { GapBits } from "./deep-compression-plan.js";
import { numberModel, type TensorNames } from "./number.js";
import { planOf } from "./plan.js";
import { RangeEncoder } from "./range-encoder.js";

export interface PackOptions {
  /** "best": per tensor the coding that takes the fewest bytes. "deep-compression": as published in 2016, for comparison. */
  readonly coder?: "best" | "deep-compression";
  /** Deep Compression's bits of a gap (8 for convolutions, 5 for dense layers, as published). */
  readonly gapBits?: GapBits;
  /** Keep the names of nodes and inner values, doc strings and inner shapes (default false: they are made up anew when unpacking). */
  readonly keepNames?: boolean;
}

/** A model as a .pare file. Tensors keep every bit; graph inputs and outputs keep names, types and shapes. */
export const pack = (graph: Graph, options: PackOptions = {}): Uint8Array => packWithSizes(graph, options).bytes;

/** What one tensor takes in the file. */
export interface TensorShare {
  readonly name: string;
  readonly tensor: Tensor;
  readonly plan: Plan;
  readonly bits: number;
}
/** The file, and what each part of it takes: the topology with the file's head, then every tensor in the file's order. */
export function packWithSizes(
  graph: Graph,
  options: PackOptions = {},
): { bytes: Uint8Array; topologyBits: number; tensors: readonly TensorShare[] } {
  const io = new RangeEncoder();
  const f = new Fields(io);
  const topology = new Topology(f);
  const names: TensorNames = new Map();
  const tensors: TensorShare[] = [];
  let topologyBits = 0;
  try {
    topology.model(numberModel(graph, options.keepNames ?? false, names));
    topologyBits = io.position + 8 * checkedFrom;
    const earlier = new Earlier();
    for (const t of topology.tensors) {
      const plan = planOf(t, options, earlier, (units) => io.affords(units));
      const before = io.position;
      tensorContents(io, f, earlier, t, plan);
      tensors.push({ name: names.get(t) ?? "", tensor: t, plan, bits: io.position - before });
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PareError(`this model cannot be packed: ${error.message}`, "input", { cause: error });
  }
  return { bytes: assemble(io), topologyBits, tensors };
}

/** The file of what was written. */
export function assemble(io: RangeEncoder): Uint8Array {
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

/** The graph of a .pare file, checked. Throws PareError that says where the file is wrong, or the model in it. */
export function unpack(bytes: Uint8Array): Graph {
  try {
    const graph = decode(bytes);
    check(graph);
    return graph;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PareError(`not a readable .pare file: ${error.message}`, "input", { cause: error });
  }
}
