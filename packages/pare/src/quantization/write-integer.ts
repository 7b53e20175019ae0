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
  /** Codes, scale and zero point behind a rounded name. */
  readonly #codes = new Map<string, readonly [string, string, string]>();

  readonly #rowed: ReadonlySet<string>;

  constructor(readonly job: Job) {
    this.#rowed = new Set([...job.placement.biases.values()].map(({ product }) => product.key));
  }

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
        inputs[i] = dequantized(sheet, store.codes(name, weight), weight, support.saysZero);
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

  /**
   * MatMulIntegerToFloat for a product with a constant matrix whose float sums are added to something: onnxruntime would make a float Gemm of a
   * dequantized product and an addition. Returns false where the node is of another kind.
   */
  direct(at: Placed, sheet: Sheet, output: string, bias: string | null): boolean {
    const weight = this.#directWeight(at);
    if (!weight) return false;
    const { store } = this.job;
    const [x, name] = at.node.inputs as [string, string];
    const { scale, axis } = weight.grid;
    const [codes, xScale, zero] = this.#codes.get(this.#copy(x, at.body, sheet))!;
    const scales = sheet.floats(scale, axis === null ? [] : [scale.length]);
    const given = [codes, store.codes(name, weight), xScale, scales, zero, ...(bias ? ["", bias] : [])];
    sheet.ops("MatMulIntegerToFloat", given, [output], {}, "com.microsoft");
    return true;
  }
  #directWeight(at: Placed): QuantizedTensor | null {
    const { w, store, layers, target } = this.job;
    const [x, name] = at.node.inputs as [string, string];
    const { constants } = w.wiring;
    const matrix = constants.get(name)?.tensor.dims.length === 2;
    if (target === "pare" || at.node.op !== "MatMul" || constants.has(x) || !matrix) return null;
    if (this.gridOf(x).type !== "uint8") return null;
    const weight = store.quantized(at, 1, "int8", layers.get(at.key)?.weights.get(1));
    return weight.grid.zeroPoint.every((z) => z === 0) ? weight : null;
  }
  /** Whether a node is a product that is written together with the row that is added to it. */
  isAwaited(at: Placed): boolean {
    return this.#rowed.has(at.key) && this.#directWeight(at) !== null;
  }
  /** Whether an addition alone reads what a node gives. */
  isAddedTo({ key, body }: Placed): boolean {
    const { readers, leaving } = this.job.w.wiring;
    const [only, ...others] = readers.get(key) ?? [];
    return only?.at.node.op === "Add" && only.at.body === body && others.length === 0 && !leaving.has(key);
  }
  /** The addition of a row to an integer product, with the product. */
  row(at: Placed, { product, input }: RowBias, sheet: Sheet, output: string): boolean {
    const { tensor } = this.job.w.wiring.constants.get(at.node.inputs[input]!)!;
    const flat =
      tensor.dims.length === 1
        ? at.node.inputs[input]!
        : sheet.constant({ ...tensor, dims: [sizeOf(tensor.dims)] }, "b");
    return this.direct(product, sheet, output, flat);
  }

  /** The name under which an integer node reads a value in this body. */
  #copy(value: string, body: Subgraph, sheet: Sheet): string {
    const { w, placement } = this.job;
    if (placement.rounded.has(value) && w.wiring.producer.get(value)?.body === body) return value;
    let copies = this.#copies.get(body);
    if (!copies) this.#copies.set(body, (copies = new Map()));
    const known = copies.get(value);
    if (known !== undefined) return known;
    // Sum of one is a copy that onnxruntime leaves where it is: without it, rounding is moved before the pool, whose kernel for codes is slow there.
    const from = this.#isPooled(value, body) ? sheet.op("Sum", [value]) : value;
    const copy = this.round(value, sheet, from, w.fresh("v"));
    copies.set(value, copy);
    return copy;
  }
  /** Whether a float MaxPool gives this value, perhaps through nodes that only move it. */
  #isPooled(value: string, body: Subgraph): boolean {
    const maker = this.job.w.wiring.producer.get(value);
    if (!maker || maker.body !== body || this.job.placement.integer.has(maker.key)) return false;
    if (maker.node.op === "MaxPool") return true;
    return integerSupport(maker.node)?.role === "passes" && this.#isPooled(maker.node.inputs[0] ?? "", body);
  }
  /** Rounds what `from` carries to the grid of `value`, as `to`. `factor`: what `value` is of what `from` carries. */
  round(value: string, sheet: Sheet, from: string, to: string, factor = 1): string {
    const { w } = this.job;
    const grid = this.gridOf(value);
    if (grid.type === "int16" || grid.type === "uint16") w.opset = Math.max(w.opset, 21);
    // Zero points are always said: onnxruntime breaks the graph where it absorbs a Relu before a QuantizeLinear without one.
    const zero = sheet.codes(grid.type, grid.zeroPoint, []);
    const before = sheet.floats([grid.scale[0]! / factor], []);
    const after = sheet.floats(grid.scale, []);
    const codes = sheet.op("QuantizeLinear", [from, before, zero]);
    sheet.ops("DequantizeLinear", [codes, after, zero], [to]);
    this.#codes.set(to, [codes, after, zero]);
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
