/** What is to become of each node of a graph in quantization: grids, codes and formats as plain data; `applyPlan` writes them as ONNX. */

/** Integer types that values are stored in. */
export type CodeType = "int8" | "uint8" | "int16" | "uint16" | "int4" | "uint4";

/** How real numbers lie on integers: real = (code - zeroPoint) x scale. */
export interface Grid {
  readonly type: CodeType;
  /** Smallest and largest code in use: narrower than the type for reduced range. */
  readonly range: readonly [low: number, high: number];
  /** One for the tensor, or one per index of `axis`, or (with `block`) one per block along `axis`, the other axes kept, in row-major order. */
  readonly scale: Float32Array;
  /** As many as scales. */
  readonly zeroPoint: Int32Array;
  readonly axis: number | null;
  /** Elements along `axis` that share a scale; the last block may be shorter. */
  readonly block: number | null;
}

/** A constant on its grid: one code per element in row-major order, 4-bit types too. */
export interface QuantizedTensor {
  readonly dims: readonly number[];
  readonly grid: Grid;
  readonly codes: Int8Array | Uint8Array | Int16Array | Uint16Array;
}

/**
 * float: left alone. int8: integer weights and activations with ranges from calibration. dynamic: integer weights, activations measured at
 * run time. weights8, weights4: integer weights, arithmetic in float. int16: 16-bit activations, 8-bit weights. float16: half floats.
 */
export type Format = "float" | "int8" | "dynamic" | "weights8" | "weights4" | "int16" | "float16";

export interface LayerPlan {
  readonly format: Format;
  /** Why this format, in words for the user. */
  readonly reason: string;
  /** By index of the node's input. Weights that are absent here are rounded to the nearest code on a min-max grid. */
  readonly weights: ReadonlyMap<number, QuantizedTensor>;
}

/** Nodes go by their first output's name, which is unique in a graph that `uniqueNames` went through, bodies included. */
export interface Plan {
  readonly layers: ReadonlyMap<string, LayerPlan>;
  /** Grids of activations by value name: for "int8" and "int16" nodes, inputs and outputs. */
  readonly activations: ReadonlyMap<string, Grid>;
}

/** Where the result shall run. */
export type Target = "ort-node" | "ort-web-wasm" | "ort-web-webgpu" | "pare";
