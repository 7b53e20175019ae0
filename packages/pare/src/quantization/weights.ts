/** Constants on their grids as ONNX: codes, and the nodes that make floats of them again. */
import { PareError } from "../graph/error.js";
import type { Tensor } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { extremes, gridOf, quantizeTensor, weightGrid } from "./grid.js";
import type { CodeType, Format, QuantizedTensor } from "./plan.js";
import { finestLayout } from "./weight-axis.js";
import type { Placed, Wiring } from "./wiring.js";
import { codeTensor, type Sheet, type Writer } from "./writer.js";

/** Elements that share a scale in 4 bits where nothing else is planned. */
const block4 = 32;

/** Input i of a node rounded to the nearest codes of a min-max grid: what a plan that says nothing of it gets. */
export function nearestWeight(at: Placed, i: number, format: Format, wiring: Wiring, reduced = false): QuantizedTensor {
  const { tensor } = wiring.constants.get(at.node.inputs[i]!)!;
  const values = float32sOf(tensor);
  const site = wiring.siteOf(at);
  const layout = site ? finestLayout(site, i) : { axis: null, block: null };
  if (format === "weights4") {
    const grid = weightGrid(values, tensor.dims, { type: "int4", ...blocked(tensor, layout) });
    return quantizeTensor(values, tensor.dims, grid);
  }
  const integer = format === "int8" || format === "int16";
  // The kernels of products know scales per output channel of a matrix or a filter, not of a stack of matrices.
  const whole = integer && (layout.block !== null || (at.node.op === "MatMul" && tensor.dims.length > 2));
  const grid = weightGrid(values, tensor.dims, {
    reduced: reduced && (integer || format === "dynamic"),
    ...(whole ? {} : layout),
  });
  return quantizeTensor(values, tensor.dims, grid);
}
/** In 4 bits a matrix is cut into blocks along the axis that is summed over. */
function blocked({ dims }: Tensor, layout: { axis: number | null; block: number | null }) {
  if (layout.block !== null) return { axis: layout.axis, block: Math.min(block4, layout.block) };
  if (dims.length !== 2 || layout.axis === null) return layout;
  return { axis: 1 - layout.axis, block: Math.min(block4, dims[1 - layout.axis]!) };
}

/** Stores codes in place of the float constant of that name, once for all who read the same ones. */
export class WeightStore {
  readonly #stored = new Map<object, Map<string, string>>();
  readonly #nearest = new Map<string, QuantizedTensor>();
  readonly #used = new Set<string>();

  constructor(
    readonly writer: Writer,
    readonly reduced: boolean,
  ) {}

  /** What input i of a node is to become: as planned, or rounded to nearest. */
  quantized(at: Placed, i: number, format: Format, planned: QuantizedTensor | undefined): QuantizedTensor {
    const name = at.node.inputs[i]!;
    const { tensor } = this.writer.wiring.constants.get(name)!;
    if (planned) {
      if (`${planned.dims}` !== `${tensor.dims}`)
        throw new PareError(
          `${at.node.op} "${at.key}": the plan's weight is [${planned.dims}], the model's "${name}" [${tensor.dims}]`,
        );
      return planned;
    }
    const site = this.writer.wiring.siteOf(at);
    const key = `${name} ${format} ${site ? JSON.stringify(finestLayout(site, i)) : ""}`;
    const known = this.#nearest.get(key);
    if (known) return known;
    const made = nearestWeight(at, i, format, this.writer.wiring, this.reduced);
    this.#nearest.set(key, made);
    return made;
  }
  /** A constant among the data of an integer node, on a grid of the activations' type. */
  activation(name: string, type: CodeType): QuantizedTensor {
    const key = `${name} ${type}`;
    const known = this.#nearest.get(key);
    if (known) return known;
    const { tensor } = this.writer.wiring.constants.get(name)!;
    const values = float32sOf(tensor);
    const made = quantizeTensor(values, tensor.dims, gridOf(extremes(values), type));
    this.#nearest.set(key, made);
    return made;
  }
  /** Name of the codes, which take the float constant's place; "beside": other nodes may still read the float. */
  codes(name: string, q: QuantizedTensor, where: "instead" | "beside" = "instead"): string {
    return this.put(name, q, "", where, () => codeTensor(q.grid.type, q.codes, q.dims));
  }
  /** Name of a tensor made of the codes: another `form` of them, which stands for the constant. */
  put(name: string, q: object, form: string, where: "instead" | "beside", make: () => Tensor): string {
    let forms = this.#stored.get(q);
    if (!forms) this.#stored.set(q, (forms = new Map()));
    const known = forms.get(form);
    if (known !== undefined) return known;
    const { body } = this.writer.wiring.constants.get(name)!;
    const stored = where === "beside" || this.#used.has(name) ? this.writer.fresh("w") : name;
    if (where === "instead") this.#used.add(name);
    this.writer.sheetOf(body).initializers.set(stored, make());
    forms.set(form, stored);
    return stored;
  }
}

/** DequantizeLinear of a constant: what integer kernels look for. Returns the float's name. */
export function dequantized(sheet: Sheet, codes: string, q: QuantizedTensor, saysZero = false): string {
  const { scale, zeroPoint, axis, type } = q.grid;
  const dims = axis === null ? [] : [scale.length];
  const zero = saysZero || zeroPoint.some((z) => z !== 0) ? [sheet.codes(type, zeroPoint, dims)] : [];
  return sheet.op("DequantizeLinear", [codes, sheet.floats(scale, dims), ...zero], axis === null ? {} : { axis });
}
