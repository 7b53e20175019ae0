/** A simplified float graph and a plan -> the quantized graph: QuantizeLinear and DequantizeLinear where onnxruntime's integer kernels look for them, weights as codes. */
import { PareError } from "../graph/error.js";
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { readNames, withBodies } from "../graph/scope.js";
import { float32sOf } from "../graph/tensor.js";
import { int32Bias } from "./bias.js";
import { type Candidate, eligibleNodes } from "./eligible.js";
import { reach } from "./grid.js";
import { type Placement, place } from "./place.js";
import type { Grid, LayerPlan, Plan, QuantizedTensor, Target } from "./plan.js";
import { dataInputs, integerSupport } from "./support.js";
import { dequantized, unpacked, WeightStore } from "./weights.js";
import { keyOf, type Placed, wiringOf } from "./wiring.js";
import { codeTensor, type Sheet, Writer } from "./writer.js";

export interface ApplyOptions {
  readonly target: Target;
  /** Weights that the plan leaves to be rounded here keep to seven bits (see reduced-range.ts). */
  readonly reduced?: boolean;
}
export interface Applied {
  readonly graph: Graph;
  /** What was done otherwise than planned, and why, in words for the user. */
  readonly notes: readonly string[];
}

/**
 * The graph as planned. It must be at opset 13 or later, with weights as initialisers and unique names (`uniqueNames`). Values keep their names: where one is
 * rounded, its name carries the rounded value. Throws PareError where a node cannot take the format planned for it, or a grid is missing.
 */
export function applyPlan(graph: Graph, plan: Plan, { target, reduced = false }: ApplyOptions): Applied {
  const opset = graph.opsets.get("") ?? 1;
  if (opset < 13) throw new PareError(`quantization needs opset 13 or later, the model is at ${opset}: raise it first`);
  const wiring = wiringOf(graph);
  const candidates = new Map(eligibleNodes(graph, target).map((c) => [c.key, c]));
  const layers = new Map<string, LayerPlan>();
  for (const [key, layer] of plan.layers) {
    checkFormat(key, layer, candidates.get(key));
    if (layer.format !== "float") layers.set(key, layer);
  }
  const writer = new Writer(graph, wiring);
  const applier = new Applier(writer, layers, plan.activations, new WeightStore(writer, reduced), candidates);
  return { graph: applier.finish(applier.rewrite(graph)), notes: applier.notes };
}

function checkFormat(key: string, { format }: LayerPlan, candidate: Candidate | undefined): void {
  if (!candidate) throw new PareError(`the plan names "${key}", which no node of the model computes first`);
  if (format === "float" || candidate.role === "passes" || candidate.formats.includes(format)) return;
  const can = candidate.formats.length ? `it can be ${candidate.formats.join(", ")}` : "it stays float";
  throw new PareError(
    `${candidate.node.op} "${key}" cannot be ${format}: ${[candidate.why, can].filter(Boolean).join("; ")}`,
  );
}

class Applier {
  readonly notes: string[] = [];
  readonly #placement: Placement;
  /** Rounded copies of values that float nodes compute, by body and value. */
  readonly #copies = new Map<Subgraph, Map<string, string>>();
  /** Weights that are codes from here on, by name: what float nodes read them as. */
  readonly #replacing = new Map<string, QuantizedTensor>();

  constructor(
    readonly w: Writer,
    readonly layers: ReadonlyMap<string, LayerPlan>,
    readonly activations: ReadonlyMap<string, Grid>,
    readonly store: WeightStore,
    readonly candidates: ReadonlyMap<string, Candidate>,
  ) {
    this.#placement = place(w.wiring, layers, (at) => this.#absorbs(at));
    this.#findReplaced();
  }

  /** Where readers of one weight want different formats, the one with integer arithmetic decides what is stored. */
  #findReplaced(): void {
    for (const wanted of [["int8", "int16", "dynamic"], ["weights8"], ["weights4"]])
      for (const at of this.w.wiring.nodes) {
        const layer = this.layers.get(at.key);
        if (!layer || !wanted.includes(layer.format)) continue;
        for (const i of this.#replacedInputs(at, layer)) {
          const name = at.node.inputs[i]!;
          if (!this.#replacing.has(name))
            this.#replacing.set(name, this.store.quantized(at, i, layer.format, layer.weights.get(i)));
        }
      }
  }

  #replacedInputs(at: Placed, { format }: LayerPlan): readonly number[] {
    const support = format === "int8" || format === "int16" ? integerSupport(at.node) : null;
    if (!support) return this.candidates.get(at.key)!.weights;
    const { constants } = this.w.wiring;
    return support.role === "product"
      ? dataInputs(at.node, support).filter((i) => constants.has(at.node.inputs[i]!))
      : [];
  }

  /** A body as planned, those inside it too. */
  rewrite(body: Subgraph): Subgraph {
    const sheet = this.w.sheetOf(body);
    this.#copies.set(body, new Map());
    for (const node of body.nodes) {
      const inner = withBodies(node, (b) => {
        this.w.open(b);
        return this.rewrite(b);
      });
      this.#node({ key: keyOf(node), node, body }, inner, sheet);
    }
    return this.#finished(sheet);
  }

  #node(at: Placed, written: Node, sheet: Sheet): void {
    const inputs = [...written.inputs];
    const layer = this.layers.get(at.key);
    if (this.#placement.integer.has(at.key)) this.#integerInputs(at, inputs, layer, sheet);
    else if (layer?.format === "weights8" || layer?.format === "weights4") this.#storedInputs(at, inputs, layer, sheet);
    this.#sharedInputs(at, inputs, sheet);
    const rounded = written.outputs.filter((o) => this.#placement.rounded.has(o));
    const raw = new Map(rounded.map((o) => [o, this.w.fresh("f")]));
    sheet.nodes.push({ ...written, inputs, outputs: written.outputs.map((o) => raw.get(o) ?? o) });
    for (const o of rounded) this.#round(raw.get(o)!, this.#gridOf(o), sheet, o);
  }

  #integerInputs(at: Placed, inputs: string[], layer: LayerPlan | undefined, sheet: Sheet): void {
    const support = integerSupport(at.node)!;
    const { constants } = this.w.wiring;
    let weight: QuantizedTensor | null = null;
    for (const i of dataInputs(at.node, support)) {
      const name = inputs[i]!;
      if (!constants.has(name)) inputs[i] = this.#copy(name, at.body, sheet);
      else if (support.role === "product") {
        weight = this.store.quantized(at, i, "int8", layer?.weights.get(i));
        const bias = support.bias === undefined ? "" : (inputs[support.bias] ?? "");
        if (bias) {
          const scaled = int32Bias(weight, float32sOf(constants.get(bias)!.tensor), this.#gridOf(at.node.inputs[0]!));
          weight = scaled.weight;
          const codes = this.w.fresh("b");
          const dims = constants.get(bias)!.tensor.dims;
          this.w.sheetOf(constants.get(bias)!.body).initializers.set(codes, codeTensor("int32", scaled.codes, dims));
          const axis = scaled.scale.length > 1 ? dims.length - 1 : null;
          inputs[support.bias!] = this.w.op(
            sheet,
            "DequantizeLinear",
            [codes, this.w.floats(scaled.scale, axis === null ? [] : [scaled.scale.length])],
            axis === null ? {} : { axis },
          );
        }
        inputs[i] = dequantized(this.w, sheet, this.store.codes(name, weight), weight, support.saysZero);
      } else inputs[i] = this.#constantOnGrid(name, at, sheet);
    }
  }
  /** A constant among the data of an arithmetic node, on a grid of the activations' type. */
  #constantOnGrid(name: string, at: Placed, sheet: Sheet): string {
    const q = this.store.activation(name, this.#gridOf(at.node.outputs[0]!).type);
    return dequantized(this.w, sheet, this.store.codes(name, q, "beside"), q, true);
  }

  #storedInputs(at: Placed, inputs: string[], layer: LayerPlan, sheet: Sheet): void {
    for (const i of this.candidates.get(at.key)!.weights) {
      const name = inputs[i]!;
      const q = this.#replacing.get(name) ?? this.store.quantized(at, i, layer.format, layer.weights.get(i));
      inputs[i] = unpacked(this.w, sheet, this.store.codes(name, q), q);
    }
  }
  /** A float node that shares a weight with a quantized one reads floats made of the codes, so that the weight is not stored twice. */
  #sharedInputs(at: Placed, inputs: string[], sheet: Sheet): void {
    at.node.inputs.forEach((name, i) => {
      const q = inputs[i] === name ? this.#replacing.get(name) : undefined;
      if (q) inputs[i] = unpacked(this.w, sheet, this.store.codes(name, q), q);
    });
  }

  /** The name under which an integer node reads a value in this body. */
  #copy(value: string, body: Subgraph, sheet: Sheet): string {
    const maker = this.w.wiring.producer.get(value);
    if (this.#placement.rounded.has(value) && maker?.body === body) return value;
    const copies = this.#copies.get(body)!;
    const known = copies.get(value);
    if (known !== undefined) return known;
    const copy = this.#round(value, this.#gridOf(value), sheet);
    copies.set(value, copy);
    return copy;
  }
  /** QuantizeLinear and DequantizeLinear; returns the rounded value's name. */
  #round(value: string, grid: Grid, sheet: Sheet, name = this.w.fresh("v")): string {
    if (grid.type === "int16" || grid.type === "uint16") this.w.opset = Math.max(this.w.opset, 21);
    // Zero points are always said: onnxruntime breaks the graph where it absorbs a Relu before a QuantizeLinear without one.
    const parameters = [this.w.floats(grid.scale, []), this.w.codes(grid.type, grid.zeroPoint, [])];
    const codes = this.w.op(sheet, "QuantizeLinear", [value, ...parameters]);
    this.w.ops(sheet, "DequantizeLinear", [codes, ...parameters], [name]);
    return name;
  }

  #gridOf(value: string): Grid {
    const source = this.#placement.source.get(value) ?? value;
    const grid = this.activations.get(source) ?? this.activations.get(value);
    if (!grid) throw new PareError(`the plan has no grid for "${source}", which becomes integers`);
    return grid;
  }
  /** Whether a Relu or Clip is nothing but the end of its output's grid. */
  #absorbs({ node }: Placed): boolean {
    const grid = this.activations.get(node.outputs[0]!);
    if (!grid) return false;
    const [low, high] = reach(grid);
    if (node.op === "Relu") return low >= 0;
    const bound = (i: number, otherwise: number) => {
      if (!node.inputs[i]) return otherwise;
      const tensor = this.w.wiring.constants.get(node.inputs[i])?.tensor;
      return tensor ? float32sOf(tensor)[0]! : Number.NaN;
    };
    return low >= bound(1, Number.NEGATIVE_INFINITY) && high <= bound(2, Number.POSITIVE_INFINITY);
  }

  /** What was written, without constants that nobody reads any more. */
  #finished({ body, nodes, initializers }: Sheet): Subgraph {
    const read = new Set(body.outputs.map((v) => v.name));
    for (const n of nodes) for (const name of readNames(n)) read.add(name);
    const given = new Set(body.inputs.map((v) => v.name));
    const dead = [...initializers.keys()].filter((name) => !read.has(name) && !given.has(name));
    for (const name of dead) initializers.delete(name);
    return { ...body, nodes, initializers };
  }
  finish(body: Subgraph): Graph {
    const { graph } = this.w;
    const opset = Math.max(this.w.opset, graph.opsets.get("") ?? 1);
    const opsets = new Map([...graph.opsets, ["", opset]]);
    if (this.w.microsoft) opsets.set("com.microsoft", 1);
    return { ...graph, ...body, opsets, irVersion: Math.max(graph.irVersion, opset >= 21 ? 10 : 7) };
  }
}
