/** Integer weights, and data whose ranges are measured at every run: MatMul, Gemm, Conv and LSTM. */
import type { Subgraph } from "../graph/graph.js";
import type { Job } from "./job.js";
import type { QuantizedTensor } from "./plan.js";
import type { Placed } from "./wiring.js";
import { codeTensor, type Sheet } from "./writer.js";

/** Codes, scale and zero point of a value, by name. */
type Measured = readonly [codes: string, scale: string, zero: string];

export class DynamicWriter {
  /** Values that several nodes read are measured once per body. */
  readonly #measured = new Map<Subgraph, Map<string, Measured>>();

  constructor(readonly job: Job) {}

  /** Writes what stands in a node's place; its outputs keep their names. */
  write(at: Placed, inputs: readonly string[], sheet: Sheet): void {
    if (at.node.op === "LSTM") this.#lstm(at, inputs, sheet);
    else if (at.node.op === "Conv") this.#conv(at, inputs, sheet);
    else this.#product(at, inputs, sheet);
  }

  #measure(x: string, at: Placed, sheet: Sheet): Measured {
    const { w } = this.job;
    let known = this.#measured.get(at.body);
    if (!known) this.#measured.set(at.body, (known = new Map()));
    let found = known.get(x);
    if (!found) {
      found = [w.fresh("q"), w.fresh("q"), w.fresh("q")];
      sheet.ops("DynamicQuantizeLinear", [x], found);
      known.set(x, found);
    }
    return found;
  }
  #weight(at: Placed, i: number): QuantizedTensor {
    return this.job.store.quantized(at, i, "dynamic", this.job.layers.get(at.key)!.weights.get(i));
  }

  /** MatMul, and Gemm with a constant B. */
  #product(at: Placed, inputs: readonly string[], sheet: Sheet): void {
    const { w, store, target } = this.job;
    const [output] = at.node.outputs;
    const q = this.#weight(at, 1);
    const flipped = at.node.attributes.transB?.kind === "int" && Number(at.node.attributes.transB.value) !== 0;
    const codes = flipped
      ? store.put(inputs[1]!, q, "transposed", "instead", () => swapped(q))
      : store.codes(inputs[1]!, q);
    const [x, scale, zero] = this.#measure(inputs[0]!, at, sheet);
    const weightScale = sheet.floats(q.grid.scale, q.grid.axis === null ? [] : [q.grid.scale.length]);
    const bias = at.node.op === "Gemm" ? (inputs[2] ?? "") : "";
    if (target === "pare") {
      const sums = sheet.op("Cast", [sheet.op("MatMulInteger", [x, codes, zero])], { to: 1 });
      const product = bias ? w.fresh("q") : output!;
      sheet.ops("Mul", [sums, sheet.op("Mul", [scale, weightScale])], [product]);
      if (bias) sheet.ops("Add", [product, bias], [output!]);
      return;
    }
    const flat = bias !== "" && w.wiring.constants.get(bias)?.tensor.dims.length === 1;
    const product = bias && !flat ? w.fresh("q") : output!;
    const given = [x, codes, scale, weightScale, zero, ...(flat ? ["", bias] : [])];
    sheet.ops("MatMulIntegerToFloat", given, [product], {}, "com.microsoft");
    if (bias && !flat) sheet.ops("Add", [product, bias], [output!]);
  }

  /** ConvInteger; several times slower than float in onnxruntime, so only where it was asked for. */
  #conv(at: Placed, inputs: readonly string[], sheet: Sheet): void {
    const { w, store } = this.job;
    const q = this.#weight(at, 1);
    const [x, scale, zero] = this.#measure(inputs[0]!, at, sheet);
    const codes = store.codes(inputs[1]!, q);
    const sums = w.fresh("q");
    sheet.nodes.push({ ...at.node, op: "ConvInteger", inputs: [x, codes, zero], outputs: [sums] });
    const each = q.grid.axis !== null;
    const spread = [-1, ...q.dims.slice(2).map(() => 1)];
    const shape = each ? [q.grid.scale.length, ...q.dims.slice(2).map(() => 1)] : [];
    const product = sheet.op("Mul", [scale, sheet.floats(q.grid.scale, shape)]);
    const float = sheet.op("Cast", [sums], { to: 1 });
    const bias = inputs[2];
    const scaled = bias ? w.fresh("q") : at.node.outputs[0]!;
    sheet.ops("Mul", [float, product], [scaled]);
    if (!bias) return;
    const column = sheet.op("Reshape", [bias, sheet.ints(spread)]);
    sheet.ops("Add", [scaled, column], [at.node.outputs[0]!]);
  }

  /** DynamicQuantizeLSTM: W and R as [d, i, 4 h] and [d, h, 4 h], a scale per direction and gate row. */
  #lstm(at: Placed, inputs: readonly string[], sheet: Sheet): void {
    const { w, store } = this.job;
    const matrices = [1, 2].map((i) => {
      const q = this.#weight(at, i);
      const { scale, zeroPoint } = q.grid;
      const dims = [q.dims[0]!, q.dims[1]!];
      const rows = Float32Array.from({ length: dims[0]! * dims[1]! }, (_, r) => scale[scale.length === 1 ? 0 : r]!);
      const zeros = Int32Array.from(rows, (_, r) => zeroPoint[zeroPoint.length === 1 ? 0 : r]!);
      return {
        codes: store.put(inputs[i]!, q, "transposed", "instead", () => swapped(q)),
        parameters: [sheet.floats(rows, dims), sheet.codes(q.grid.type, zeros, dims)],
      };
    });
    const [wide, recurrent] = matrices as [(typeof matrices)[0], (typeof matrices)[0]];
    const rest = Array.from({ length: 5 }, (_, i) => inputs[i + 3] ?? "");
    const given = [inputs[0]!, wide.codes, recurrent.codes, ...rest, ...wide.parameters, ...recurrent.parameters];
    w.microsoft = true;
    const { layout: _, ...attributes } = at.node.attributes;
    sheet.nodes.push({ ...at.node, op: "DynamicQuantizeLSTM", domain: "com.microsoft", inputs: given, attributes });
  }
}

/** The codes with their last two axes swapped. */
function swapped({ dims, codes, grid }: QuantizedTensor) {
  const [rows, columns] = dims.slice(-2) as [number, number];
  const size = rows * columns;
  const out = codes.slice();
  for (let i = 0; i < codes.length; i++) {
    const [stack, r, c] = [Math.floor(i / size), Math.floor((i % size) / columns), i % columns];
    out[stack * size + c * rows + r] = codes[i]!;
  }
  return codeTensor(grid.type, out, [...dims.slice(0, -2), columns, rows]);
}
