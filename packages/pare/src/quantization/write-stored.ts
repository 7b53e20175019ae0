/** Weights kept in few bits for nodes that compute in float: nodes that make floats of codes, or onnxruntime's product with codes. */
import { PareError } from "../graph/error.js";
import { float16Bits } from "../graph/float16.js";
import { float32sOf } from "../graph/tensor.js";
import type { Job } from "./job.js";
import type { LayerPlan, QuantizedTensor, Target } from "./plan.js";
import type { Placed } from "./wiring.js";
import type { Sheet } from "./writer.js";

/**
 * Cast, subtraction of a zero point, product with the scales: plain arithmetic on constants, which onnxruntime folds when it loads the model,
 * while it leaves DequantizeLinear to every run. Returns the float's name.
 */
export function unpacked(sheet: Sheet, codes: string, q: QuantizedTensor, target: Target): string {
  const { zeroPoint, axis, block, type } = q.grid;
  const four = type === "int4" || type === "uint4";
  if (four) sheet.w.opset = Math.max(sheet.w.opset, 21);
  if (four && target === "ort-web-webgpu") return blockwise(sheet, codes, q);
  const shape = scaleShape(q);
  const spread = (values: Float32Array): string => {
    const name = sheet.floats(values, shape);
    const cut = axis !== null && block !== null && block < q.dims[axis]!;
    return cut ? repeated(sheet, name, shape, axis, block, q.dims[axis]!) : name;
  };
  let float = sheet.op("Cast", [codes], { to: 1 });
  if (zeroPoint.some((z) => z !== 0)) float = sheet.op("Sub", [float, spread(Float32Array.from(zeroPoint))]);
  return sheet.op("Mul", [float, spread(q.grid.scale)]);
}

/** DequantizeLinear with blocks: onnxruntime-web's WebGPU provider has no Cast of 4-bit types. */
function blockwise(sheet: Sheet, codes: string, q: QuantizedTensor): string {
  const { zeroPoint, axis, block, type, scale } = q.grid;
  const shape = block === null ? (axis === null ? [] : [scale.length]) : scaleShape(q);
  const zero = zeroPoint.some((z) => z !== 0) ? [sheet.codes(type, zeroPoint, shape)] : [];
  const attributes = axis === null ? {} : block === null ? { axis } : { axis, block_size: block };
  return sheet.op("DequantizeLinear", [codes, sheet.floats(scale, shape), ...zero], attributes);
}

/** The scales' shape, which broadcasts to the weight's unless blocks are shorter than their axis. */
function scaleShape({ dims, grid: { axis, block, scale } }: QuantizedTensor): number[] {
  if (axis === null) return [];
  if (block === null) return [scale.length, ...dims.slice(axis + 1).map(() => 1)];
  return dims.map((d, i) => (i === axis ? Math.ceil(d / block) : d));
}
/** Each scale of a block as often as the block is long; the last one is cut. */
function repeated(
  sheet: Sheet,
  scale: string,
  shape: readonly number[],
  axis: number,
  block: number,
  length: number,
): string {
  const ints = (values: readonly number[]) => sheet.ints(values);
  const wide = [...shape.slice(0, axis + 1), block, ...shape.slice(axis + 1)];
  const open = sheet.op("Unsqueeze", [scale, ints([axis + 1])]);
  const full = sheet.op("Expand", [open, ints(wide)]);
  const flat = sheet.op("Reshape", [full, ints(shape.map((d, i) => (i === axis ? d * block : d)))]);
  if (shape[axis]! * block === length) return flat;
  return sheet.op("Slice", [flat, ints([0]), ints([length]), ints([axis])]);
}

/** Inputs of a float node whose weights are codes or halves. */
export function storedInputs(job: Job, at: Placed, inputs: string[], layer: LayerPlan, sheet: Sheet): void {
  for (const i of job.candidates.get(at.key)!.weights) {
    const name = inputs[i]!;
    const q = job.replacing.get(name);
    if (q) inputs[i] = unpacked(sheet, job.store.codes(name, q), q, job.target);
    else if (layer.format === "float16") inputs[i] = halved(job, name, sheet);
  }
}
/** A constant as halves; numbers beyond their range are refused, since they would be infinite. */
function halved({ w, store }: Job, name: string, sheet: Sheet): string {
  const { tensor } = w.wiring.constants.get(name)!;
  const values = float32sOf(tensor);
  const large = values.find((v) => Math.abs(v) >= 65520);
  if (large !== undefined)
    throw new PareError(
      `"${name}" holds ${large}, beyond float16, whose largest number is 65504: leave its layer float`,
    );
  const make = () => {
    const bits = Uint16Array.from(values, float16Bits);
    return { type: "float16" as const, dims: tensor.dims, bytes: new Uint8Array(bits.buffer) };
  };
  return sheet.op("Cast", [store.put(name, tensor, "half", "instead", make)], { to: 1 });
}

const blockSizes = [16, 32, 64, 128, 256];

/**
 * Writes MatMulNBits in place of a product with a 4-bit matrix, blocked along the axis that is summed over; false where the node or the grid is
 * of another kind. Codes come as [n, blocks, block / 2 bytes], unsigned, scales as [n x blocks].
 */
export function writeNBits(job: Job, at: Placed, inputs: readonly string[], layer: LayerPlan, sheet: Sheet): boolean {
  const { w, store, target } = job;
  const name = at.node.inputs[1] ?? "";
  const q = layer.format === "weights4" ? job.replacing.get(name) : undefined;
  const kind = at.node.domain === "" ? at.node.op : "";
  if (!q || target === "pare" || (kind !== "MatMul" && kind !== "Gemm") || q.dims.length !== 2) return false;
  const flag = (key: string) => at.node.attributes[key]?.kind === "int" && Number(at.node.attributes[key].value) !== 0;
  const unit = ["alpha", "beta"].every((key) =>
    at.node.attributes[key]?.kind === "float" ? at.node.attributes[key].value === 1 : true,
  );
  const transposed = kind === "Gemm" && flag("transB");
  const { axis, block, type } = q.grid;
  const summed = transposed ? 1 : 0;
  if (type !== "int4" && type !== "uint4") return false;
  if (axis !== summed || block === null || !blockSizes.includes(block) || flag("transA") || !unit) return false;
  const packed = packNBits(q, summed, block);
  const codes = store.put(name, q, "nbits", "instead", () => packed.codes);
  const zero = packed.zero ? sheet.bytes(packed.zero, [packed.zero.length]) : null;
  const data = [inputs[0]!, codes, sheet.floats(packed.scale, [packed.scale.length]), ...(zero ? [zero] : [])];
  const attributes = { K: q.dims[summed]!, N: q.dims[1 - summed]!, bits: 4, block_size: block };
  const bias = kind === "Gemm" ? inputs[2] : "";
  const product = bias ? w.fresh("q") : at.node.outputs[0]!;
  sheet.ops("MatMulNBits", data, [product], attributes, "com.microsoft");
  if (bias) sheet.ops("Add", [product, bias], [at.node.outputs[0]!]);
  return true;
}

function packNBits({ dims, codes, grid }: QuantizedTensor, summed: number, block: number) {
  const [k, n] = [dims[summed]!, dims[1 - summed]!];
  const blocks = Math.ceil(k / block);
  const at = (row: number, i: number) => (summed === 1 ? row * k + i : i * n + row);
  const group = (row: number, b: number) => (summed === 1 ? row * blocks + b : b * n + row);
  // Signed codes go up by 8, the zero point that is taken where none is said.
  const shift = grid.type === "int4" ? 8 : 0;
  const bytes = new Uint8Array((n * blocks * block) / 2);
  const scale = new Float32Array(n * blocks);
  const zeroBytes = Math.ceil(blocks / 2);
  const zero = new Uint8Array(n * zeroBytes);
  for (let row = 0; row < n; row++)
    for (let b = 0; b < blocks; b++) {
      const g = group(row, b);
      const origin = grid.zeroPoint[g]! + shift;
      scale[row * blocks + b] = grid.scale[g]!;
      zero[row * zeroBytes + (b >> 1)]! |= origin << (b % 2 ? 4 : 0);
      for (let j = 0; j < block; j++) {
        const i = b * block + j;
        const code = i < k ? codes[at(row, i)]! + shift : origin;
        bytes[((row * blocks + b) * block + j) >> 1]! |= code << (j % 2 ? 4 : 0);
      }
    }
  const symmetric = grid.zeroPoint.every((z) => z + shift === 8);
  const tensor = { type: "uint8" as const, dims: [n, blocks, block / 2], bytes };
  return { codes: tensor, scale, zero: symmetric ? null : zero };
}
