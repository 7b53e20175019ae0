/** Constants on their grids as ONNX: codes, and the nodes that make floats of them again. */
import { PareError } from "../graph/error.js";
import type { Tensor } from "../graph/graph.js";
import { float32sOf } from "../graph/tensor.js";
import { extremes, gridOf, quantizeTensor } from "./grid.js";
import type { CodeType, Format, QuantizedTensor } from "./plan.js";
import { finestLayout } from "./weight-axis.js";
import { nearestWeight } from "./weight-grid.js";
import type { Placed } from "./wiring.js";
import { codeTensor, type Sheet, type Writer } from "./writer.js";

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
    const made = nearestWeight(at, i, format, this.writer.wiring, { reduced: this.reduced });
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
