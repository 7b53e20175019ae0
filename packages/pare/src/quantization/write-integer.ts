/** Static integers: QuantizeLinear and DequantizeLinear around a node, as onnxruntime's fusions look for them. */
import { PareError } from "../graph/error.js";
import type { Subgraph } from "../graph/graph.js";
import { float32sOf, sizeOf } from "../graph/tensor.js";
import { int32Bias } from "./bias.js";
import { gridOf, reach } from "./grid.js";
import type { Job } from "./job.js";
import { boundsOf, type RowBias } from "./place.js";
import type { Grid, QuantizedTensor } from "./plan.js";
import { dataInputs, integerSupport } from "./support.js";
import { dequantized } from "./weights.js";
import type { Placed } from "./wiring.js";
import { codeTensor, type Sheet } from "./writer.js";

export class IntegerWriter {
  /** Rounded copies of values that float nodes compute, by body and value. */
  readonly #copies = new Map<Subgraph, Map<string, string>>();

  constructor(readonly job: Job) {}

  /** Replaces the inputs of a node on integers by dequantized ones. */
  inputs(at: Placed, inputs: string[], sheet: Sheet): void {
    const { w, store, layers, placement } = this.job;
    const { constants } = w.wiring;
    const support = integerSupport(at.node)!;
    for (const i of dataInputs(at.node, support)) {
      const name = inputs[i]!;
      if (!constants.has(name)) inputs[i] = this.#copy(name, at.body, sheet);
      else if (support.role === "product") {
        let weight = store.quantized(at, i, "int8", layers.get(at.key)?.weights.get(i));
        const bias = support.bias === undefined ? "" : (inputs[support.bias] ?? "");
        if (bias) [weight, inputs[support.bias!]] = this.#bias(at, bias, weight, sheet);
        inputs[i] = dequantized(sheet, store.codes(name, weight), weight, support.saysZero ?? this.#isBiased(at));
      } else {
        const beside = at.node.inputs.find((x, k) => k !== i && x && placement.source.has(x))!;
        const q = store.activation(name, this.gridOf(beside).type);
        inputs[i] = dequantized(sheet, store.codes(name, q, "beside"), q, true);
      }
    }
  }
  /** The weight, coarser where the bias needs it, and the name of the bias made of int32. */
  #bias(at: Placed, bias: string, weight: QuantizedTensor, sheet: Sheet): [QuantizedTensor, string] {
    const { w } = this.job;
    const { tensor, body } = w.wiring.constants.get(bias)!;
    const scaled = int32Bias(weight, float32sOf(tensor), this.gridOf(at.node.inputs[0]!));
    const codes = w.fresh("b");
    w.sheetOf(body).initializers.set(codes, codeTensor("int32", scaled.codes, tensor.dims));
    const each = scaled.scale.length > 1;
    const scale = sheet.floats(scaled.scale, each ? [scaled.scale.length] : []);
    const axis = each ? { axis: tensor.dims.length - 1 } : {};
    return [scaled.weight, sheet.op("DequantizeLinear", [codes, scale], axis)];
  }

  #isBiased(at: Placed): boolean {
    return [...this.job.placement.biases.values()].some(({ product }) => product.key === at.key);
  }
  /**
   * A row added to an integer product, in the form that keeps the product on integers: onnxruntime makes a Gemm of a matrix product and a row, which
   * stays on integers if the row is int32 itself; where it would make one of a stack of products, [1, n] keeps it from that.
   */
  row({ product, input }: RowBias, inputs: string[], sheet: Sheet): void {
    const { w, store, layers } = this.job;
    const name = inputs[input]!;
    const { tensor } = w.wiring.constants.get(name)!;
    const columns = sizeOf(tensor.dims);
    const i = w.wiring.constants.has(product.node.inputs[1]!) ? 1 : 0;
    const matrix = w.wiring.typeOf(product.node.inputs[0]!)?.shape?.length === 2;
    if (matrix && i === 1 && w.wiring.constants.has(product.node.inputs[1]!)) {
      const weight = store.quantized(product, 1, "int8", layers.get(product.key)?.weights.get(1));
      const { codes, scale } = int32Bias(weight, float32sOf(tensor), this.gridOf(product.node.inputs[0]!));
      const stored = w.fresh("b");
      sheet.initializers.set(stored, codeTensor("int32", codes, [columns]));
      const each = scale.length > 1;
      const scales = sheet.floats(scale, each ? [columns] : []);
      inputs[input] = sheet.op("DequantizeLinear", [stored, scales], each ? { axis: 0 } : {});
    } else if (tensor.dims.length === 1) inputs[input] = sheet.constant({ ...tensor, dims: [1, columns] }, "b");
  }

  /** The name under which an integer node reads a value in this body. */
  #copy(value: string, body: Subgraph, sheet: Sheet): string {
    const { w, placement } = this.job;
    if (placement.rounded.has(value) && w.wiring.producer.get(value)?.body === body) return value;
    let copies = this.#copies.get(body);
    if (!copies) this.#copies.set(body, (copies = new Map()));
    const known = copies.get(value);
    if (known !== undefined) return known;
    const copy = this.round(value, sheet, value, w.fresh("v"));
    copies.set(value, copy);
    return copy;
  }
  /** Rounds what `from` carries to the grid of `value`, as `to`. */
  round(value: string, sheet: Sheet, from: string, to: string): string {
    const { w } = this.job;
    const grid = this.gridOf(value);
    if (grid.type === "int16" || grid.type === "uint16") w.opset = Math.max(w.opset, 21);
    // Zero points are always said: onnxruntime breaks the graph where it absorbs a Relu before a QuantizeLinear without one.
    const parameters = [sheet.floats(grid.scale, []), sheet.codes(grid.type, grid.zeroPoint, [])];
    const codes = sheet.op("QuantizeLinear", [from, ...parameters]);
    sheet.ops("DequantizeLinear", [codes, ...parameters], [to]);
    return to;
  }

  /** The planned grid of a value, or of the one it shares codes with; cut to what a rectifier lets through. Throws PareError where the plan has none. */
  gridOf(value: string): Grid {
    const { placement, activations, w } = this.job;
    const source = placement.source.get(value) ?? value;
    const grid = activations.get(source) ?? activations.get(value);
    if (!grid) throw new PareError(`the plan has no grid for "${source}", which becomes integers`);
    const maker = w.wiring.producer.get(source);
    const bounds = maker ? boundsOf(maker, w.wiring) : null;
    if (!bounds) return grid;
    const [low, high] = reach(grid).map(Math.fround) as [number, number];
    if (low >= bounds[0] && high <= bounds[1]) return grid;
    return gridOf([Math.max(low, bounds[0]), Math.min(high, bounds[1])], grid.type, grid.range);
  }
}
