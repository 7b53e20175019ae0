/** A graph comes in; the model's bytes go out, and beside them the weights that would not fit into 2 GiB. */
import { encode } from "../graph/encode.js";
import type { Graph, Tensor } from "../graph/graph.js";

export interface ModelBytes {
  readonly model: Uint8Array;
  /** The bytes of each tensor that stands outside, by the location the model names; the tensors' own memory. */
  readonly external: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** Weights from here on stand outside once the model is too large. */
const largeTensor = 64 * 1024;

/** `limit`: bytes of initialisers up to which everything stays in the model. */
export function modelBytes(graph: Graph, limit = 1.5 * 2 ** 30): ModelBytes {
  const total = [...graph.initializers.values()].reduce((sum, t) => sum + t.bytes.length, 0);
  if (total <= limit) return { model: encode(graph).join(), external: [] };
  const external: { path: string; data: Uint8Array }[] = [];
  const pieces = encode(graph, ({ bytes }: Tensor) => {
    if (bytes.length < largeTensor) return null;
    const path = `weights-${external.length}`;
    external.push({ path, data: bytes });
    return { location: path, offset: 0 };
  });
  return { model: pieces.join(), external };
}
