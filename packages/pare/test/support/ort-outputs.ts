/** Runs a model's bytes in onnxruntime, with no code of ours between the bytes and the outputs. */
import ort from "onnxruntime-node";
import type { ElementType, Tensor } from "../../dist/graph/graph.js";
import { sizeOf } from "../../dist/graph/tensor.js";

type View = new (buffer: ArrayBuffer) => ArrayLike<number | bigint>;
const views: Partial<Record<ElementType, View>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
};

/** A tensor for onnxruntime. */
export function ortTensor(t: Tensor): ort.Tensor {
  if (t.type === "string") return new ort.Tensor("string", t.strings!.map(text), t.dims);
  const view = views[t.type];
  if (!view) throw new Error(`onnxruntime's JavaScript interface has no tensors of type ${t.type}`);
  const data = new view(t.bytes.slice().buffer) as ort.Tensor.DataType;
  const tensor = new ort.Tensor(t.type as ort.Tensor.Type, data, t.dims);
  // Node 24 has a Float16Array, which onnxruntime-common makes of the bits and onnxruntime-node cannot read.
  if (tensor.data !== data) Object.defineProperty(tensor, "data", { value: data });
  return tensor;
}
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What a session gave: per output its type, dims and bits. */
export interface Output {
  readonly type: string;
  readonly dims: readonly number[];
  readonly bits: Uint8Array | readonly string[];
}

/** Outputs by name. `model`: bytes, or a path where external data lie beside it. Feeds are cast by name. */
export async function ortOutputs(
  model: Uint8Array | string,
  feeds: Readonly<Record<string, ort.Tensor>>,
  optimize: "all" | "disabled" = "all",
): Promise<Record<string, Output>> {
  const session = await ort.InferenceSession.create(model as string, {
    graphOptimizationLevel: optimize,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    // The JavaScript interface cannot fetch sequences and maps.
    const names = session.outputMetadata.filter((m) => m.isTensor).map((m) => m.name);
    const results = await session.run(feeds as Record<string, ort.Tensor>, names, { logSeverityLevel: 4 });
    return Object.fromEntries(
      names.map((name) => {
        const { type, dims, data } = results[name]!;
        const bits = Array.isArray(data) ? [...data] : bytesOf(data as Uint8Array).slice();
        return [name, { type, dims: [...dims], bits }];
      }),
    );
  } finally {
    await session.release();
  }
}
const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** A tensor of plausible random values: floats about a standard deviation of 1, integers from 0 to `below`. */
export function randomTensor(type: ElementType, dims: readonly number[], random: () => number, below = 2): Tensor {
  const size = sizeOf(dims);
  const normal = () => 2 * (random() + random() + random() - 1.5);
  const array = new (views[type] as unknown as new (size: number) => Record<number, number | bigint>)(size);
  for (let i = 0; i < size; i++) {
    if (type === "float32" || type === "float64") array[i] = normal();
    // Exponents of 0.5 to 2: any such bit pattern is an ordinary number.
    else if (type === "float16") array[i] = Math.floor(random() * 0x800) | 0x3800 | (random() < 0.5 ? 0x8000 : 0);
    else array[i] = type.endsWith("64") ? BigInt(Math.floor(random() * below)) : Math.floor(random() * below);
  }
  return { type, dims, bytes: bytesOf(array as unknown as ArrayBufferView) };
}

/** Numbers in [0, 1) from a seed: the same on every machine. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
