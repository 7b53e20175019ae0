/** What executes graphs. Implementations: ort-node.ts (Node), ort-web.ts (browsers). */
import type { ElementType, Graph } from "../graph/graph.js";

export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A dense array outside any graph. float16 and bfloat16 are Uint16Array bit patterns, bool is Uint8Array; strings are string[]. */
export interface NDArray {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: TypedArray | string[];
}

/** Bytes that an array holds on to; of strings, about. */
export const heldBytes = ({ data }: NDArray): number => (Array.isArray(data) ? 64 * data.length : data.byteLength);

export interface SessionOptions {
  /** Intra-op threads; 1 unless told otherwise, so that results do not depend on the machine. */
  readonly threads?: number;
  /** onnxruntime's graph optimizations; "all" unless told otherwise. */
  readonly optimize?: "all" | "none";
  /** Whether graphs with composite nodes may use onnxruntime's blocked layout, where this machine has one; true unless told otherwise. */
  readonly blocked?: boolean;
  /** Prefix of the profile file that `release` leaves (Node only). */
  readonly profile?: string;
}

export interface Session {
  /** `into`: arrays to write outputs to, where the engine can; the returned arrays are then these. */
  run(
    feeds: Readonly<Record<string, NDArray>>,
    fetches?: readonly string[],
    into?: Readonly<Record<string, NDArray>>,
  ): Promise<Record<string, NDArray>>;
  release(): Promise<void>;
}

export interface Engine {
  readonly name: "onnxruntime-node" | "onnxruntime-web";
  /** Lowers the composite nodes of domain "pare" and makes a session. Throws PareError with onnxruntime's own words where it refuses the model. */
  load(graph: Graph, options?: SessionOptions): Promise<Session>;
}
