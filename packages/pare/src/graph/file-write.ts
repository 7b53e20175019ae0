/** Graph -> .onnx file, with its weights inside or in a file beside it. Weights go from the tensors to the disk in chunks, never copied as a whole. */
import { basename, dirname, join } from "node:path";
import { check } from "./check.js";
import type { Placement } from "./encode.js";
import { encode } from "./encode.js";
import { PareError } from "./error.js";
import { prepare } from "./file-save.js";
import type { ElementType, Graph, Tensor } from "./graph.js";
import { maxMessageBytes } from "./pieces.js";

export interface ExternalDataOptions {
  /** Name of the data file, in the model's folder. "model.onnx.data" for "model.onnx" unless told otherwise. */
  readonly fileName?: string;
  /** Initialisers from this size on go there, integers that may be shapes excepted. 1024 unless told otherwise. */
  readonly thresholdBytes?: number;
}
export interface WriteOptions {
  /** Weights in a file of their own; done of itself where the model would pass 2 GiB. */
  readonly externalData?: boolean | ExternalDataOptions;
}

/**
 * Writes a graph so that `path` holds the whole model or what it held before; with external data, the data file takes its name first.
 * Runs `check`. Throws PareError: not a valid graph, disk full, no permission, more than 2 GiB outside initialisers.
 */
export async function write(graph: Graph, path: string, options: WriteOptions = {}): Promise<void> {
  check(graph);
  const { externalData = false } = options;
  const inside = externalData ? null : encode(graph);
  if (inside && inside.sizeBytes <= maxMessageBytes) {
    const pending = await prepare(path, inside.chunks);
    return finish([pending]);
  }
  const { fileName = `${basename(path)}.data`, thresholdBytes = 1024 } =
    typeof externalData === "object" ? externalData : {};
  if (
    fileName === "" ||
    fileName === basename(path) ||
    basename(fileName) !== fileName ||
    /[\\/]|^\.\.?$/.test(fileName)
  )
    throw new PareError(`external data cannot go to "${fileName}": give a file name other than the model's`, "usage");
  if (!(thresholdBytes >= 0)) throw new PareError(`a threshold of ${thresholdBytes} bytes makes no sense`, "usage");
  const layout = new Layout(fileName, thresholdBytes);
  const model = encode(graph, layout.place);
  if (model.sizeBytes > maxMessageBytes)
    throw new PareError(
      `cannot write ${path}: ${model.sizeBytes} bytes remain outside the initialisers that can go to a file of their own, and an ONNX file holds at most 2 GiB; turn large constants into initialisers`,
    );
  const data = await prepare(join(dirname(path), fileName), layout.chunks());
  try {
    await finish([data, await prepare(path, model.chunks)]);
  } finally {
    await data.discard();
  }
}

async function finish(files: readonly { commit(): Promise<void>; discard(): Promise<void> }[]): Promise<void> {
  try {
    for (const file of files) await file.commit();
  } finally {
    for (const file of files) await file.discard();
  }
}

/** Small integer tensors are shapes, pads, axes: onnxruntime infers shapes from them and refuses to look for them elsewhere. */
const shapeTypes: ReadonlySet<ElementType> = new Set(["int64", "int32"]);
const shapeBytes = 2 ** 16;

/** Lays tensors out one after another, large ones at page bounds so that they can be mapped. Tensors that share bytes share a place. */
class Layout {
  readonly #offsets = new Map<Uint8Array, number>();
  #end = 0;
  constructor(
    readonly location: string,
    readonly thresholdBytes: number,
  ) {}

  readonly place: Placement = (t: Tensor) => {
    if (t.type === "string" || t.bytes.length === 0 || t.bytes.length < this.thresholdBytes) return null;
    if (shapeTypes.has(t.type) && t.bytes.length < shapeBytes) return null;
    let offset = this.#offsets.get(t.bytes);
    if (offset === undefined) {
      offset = roundUp(this.#end, t.bytes.length >= 2 ** 20 ? 4096 : 64);
      this.#offsets.set(t.bytes, offset);
      this.#end = offset + t.bytes.length;
    }
    return { location: this.location, offset };
  };

  *chunks(): Generator<Uint8Array> {
    let at = 0;
    for (const [bytes, offset] of this.#offsets) {
      if (offset > at) yield new Uint8Array(offset - at);
      yield bytes;
      at = offset + bytes.length;
    }
  }
}

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;
