/** A simplified float graph and a plan -> the quantized graph; the writers of each format are beside this file. */
import { PareError } from "../graph/error.js";
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { irVersionOf } from "../graph/ir-version.js";
import { readNames, withBodies } from "../graph/scope.js";
import { type Candidate, eligibleNodes } from "./eligible.js";
import type { Job } from "./job.js";
import { lowestOpset } from "./lowest-opset.js";
import { place } from "./place.js";
import type { LayerPlan, Plan, QuantizedTensor, Target } from "./plan.js";
import { dataInputs, integerSupport } from "./support.js";
import { WeightStore } from "./weights.js";
import { keyOf, type Placed, wiringOf } from "./wiring.js";
import { DynamicWriter } from "./write-dynamic.js";
import { IntegerWriter } from "./write-integer.js";
import { storedInputs, unpacked, writeNBits } from "./write-stored.js";
import { type Sheet, Writer } from "./writer.js";

export interface ApplyOptions {
  readonly target: Target;
  /** Weights that the plan leaves to be rounded here keep to seven bits (see reduced-range.ts). */
  readonly reduced?: boolean;
}

/**
 * The graph as planned. It must be at opset 13 or later, with weights as initialisers and unique names (`uniqueNames`). Values keep their names: where one is
 * rounded, its name carries the rounded value. Throws PareError where a node cannot take the format planned for it, or a grid is missing.
 */
export function applyPlan(graph: Graph, plan: Plan, { target, reduced = false }: ApplyOptions): Graph {
  const opset = graph.opsets.get("") ?? 1;
  if (opset < 13) throw new PareError(`quantization needs opset 13 or later, the model is at ${opset}: raise it first`);
  const wiring = wiringOf(graph);
  const candidates = new Map(eligibleNodes(graph, target).map((c) => [c.key, c]));
  const layers = new Map<string, LayerPlan>();
  for (const [key, layer] of plan.layers) {
    checkFormat(key, layer, candidates.get(key));
    if (layer.format !== "float") layers.set(key, layer);
  }
  const w = new Writer(graph, wiring);
  const store = new WeightStore(w, reduced);
  const placement = place(wiring, layers);
  const replacing = replacedBy(layers, candidates, store);
  const job: Job = { w, store, layers, candidates, placement, activations: plan.activations, replacing, target };
  return finish(w, new Applier(job).rewrite(graph));
}

function checkFormat(key: string, { format }: LayerPlan, candidate: Candidate | undefined): void {
  if (!candidate) throw new PareError(`the plan names "${key}", which no node of the model computes first`);
  if (format === "float" || candidate.role === "passes" || candidate.formats.includes(format)) return;
  const can = candidate.formats.length ? `it can be ${candidate.formats.join(", ")}` : "it stays float";
  throw new PareError(
    `${candidate.node.op} "${key}" cannot be ${format}: ${[candidate.why, can].filter(Boolean).join("; ")}`,
  );
}

/** Where readers of one weight want different formats, the one with integer arithmetic decides what is stored. */
function replacedBy(
  layers: ReadonlyMap<string, LayerPlan>,
  candidates: ReadonlyMap<string, Candidate>,
  store: WeightStore,
): Map<string, QuantizedTensor> {
  const { wiring } = store.writer;
  const replacing = new Map<string, QuantizedTensor>();
  for (const wanted of [["int8", "int16", "dynamic"], ["weights8"], ["weights4"]])
    for (const at of wiring.nodes) {
      const layer = layers.get(at.key);
      if (!layer || !wanted.includes(layer.format)) continue;
      for (const i of replacedInputs(at, layer, candidates.get(at.key)!)) {
        const name = at.node.inputs[i]!;
        if (wiring.constants.has(name) && !replacing.has(name))
          replacing.set(name, store.quantized(at, i, layer.format, layer.weights.get(i)));
      }
    }
  return replacing;
}
function replacedInputs(at: Placed, { format }: LayerPlan, { weights }: Candidate): readonly number[] {
  const support = format === "int8" || format === "int16" ? integerSupport(at.node) : null;
  if (!support) return weights;
  return support.role === "product" ? dataInputs(at.node, support) : [];
}

class Applier {
  readonly #integer: IntegerWriter;
  readonly #dynamic: DynamicWriter;

  constructor(readonly job: Job) {
    this.#integer = new IntegerWriter(job);
    this.#dynamic = new DynamicWriter(job);
  }

  /** A body as planned, those inside it too. */
  rewrite(body: Subgraph): Subgraph {
    const { w } = this.job;
    const sheet = w.sheetOf(body);
    for (const node of body.nodes) {
      const inner = withBodies(node, (b) => {
        w.open(b);
        return this.rewrite(b);
      });
      this.#node({ key: keyOf(node), node, body }, inner, sheet);
    }
    return finished(sheet);
  }

  #node(at: Placed, written: Node, sheet: Sheet): void {
    const { w, layers, placement } = this.job;
    const inputs = [...written.inputs];
    const layer = layers.get(at.key);
    if (layer?.format === "dynamic") {
      this.#dynamic.write(at, inputs, sheet);
      return;
    }
    if (layer && writeNBits(this.job, at, inputs, layer, sheet)) return;
    const rounded = written.outputs.filter((o) => placement.rounded.has(o));
    const rescale = placement.rescales.get(at.key);
    if (rescale) {
      if (rescale.factor !== null) this.#integer.round(at.key, sheet, rescale.from, at.key, rescale.factor);
      return;
    }
    const raw = new Map(rounded.map((o) => [o, w.fresh("f")]));
    const outputs = written.outputs.map((o) => raw.get(o) ?? o);
    if (!this.#product(at, sheet, outputs[0]!)) {
      if (placement.integer.has(at.key)) this.#integer.inputs(at, inputs, sheet);
      else if (layer) storedInputs(this.job, at, inputs, layer, sheet);
      this.#sharedInputs(at, inputs, sheet);
      if (!placement.integer.has(at.key)) this.#keepFloat(at, inputs, sheet);
      sheet.nodes.push({ ...written, inputs, outputs });
    }
    for (const o of rounded) this.#integer.round(o, sheet, raw.get(o)!, o);
  }
  /** An integer product with what is added to it; the product itself waits for the addition of a row. */
  #product(at: Placed, sheet: Sheet, output: string): boolean {
    const { placement } = this.job;
    const row = placement.biases.get(at.key);
    if (row) return this.#integer.row(at, row, sheet, output);
    if (!placement.integer.has(at.key) || placement.rounded.has(at.key)) return false;
    if (this.#integer.isAwaited(at)) return true;
    return this.#integer.isAddedTo(at) && this.#integer.direct(at, sheet, output, null);
  }
  /**
   * A float product that reads a rounded value reads it through a Clip that changes nothing: directly between DequantizeLinear and QuantizeLinear
   * onnxruntime would round its weights to eight bits, with one scale for all of them.
   */
  #keepFloat(at: Placed, inputs: string[], sheet: Sheet): void {
    const { op, domain } = at.node;
    const [x, weight] = at.node.inputs;
    if (domain !== "" || !["Conv", "ConvTranspose", "Gemm"].includes(op) || inputs[0] !== x) return;
    if (!this.job.placement.rounded.has(x!) || !this.job.w.wiring.constants.has(weight ?? "")) return;
    const largest = 2 ** 127;
    inputs[0] = sheet.op("Clip", [x!, sheet.floats([-largest], []), sheet.floats([largest], [])]);
  }
  /** A float node that shares a weight with a quantized one reads floats made of the codes, so that the weight is not stored twice. */
  #sharedInputs(at: Placed, inputs: string[], sheet: Sheet): void {
    const { store, replacing, target } = this.job;
    at.node.inputs.forEach((name, i) => {
      const q = inputs[i] === name ? replacing.get(name) : undefined;
      if (q) inputs[i] = unpacked(sheet, store.codes(name, q), q, target);
    });
  }
}

/** What was written, without constants that nobody reads any more. */
function finished({ body, nodes, initializers }: Sheet): Subgraph {
  const read = new Set(body.outputs.map((v) => v.name));
  for (const n of nodes) for (const name of readNames(n)) read.add(name);
  const given = new Set(body.inputs.map((v) => v.name));
  const dead = [...initializers.keys()].filter((name) => !read.has(name) && !given.has(name));
  for (const name of dead) initializers.delete(name);
  return { ...body, nodes, initializers };
}
/** At the lowest opset that serves, so that older runtimes load it too. */
function finish(w: Writer, body: Subgraph): Graph {
  const { graph } = w;
  const present = Math.max(w.opset, graph.opsets.get("") ?? 1);
  const opset = graph.functions.length > 0 ? present : Math.max(w.opset, lowestOpset(body, present));
  const opsets = new Map([...graph.opsets, ["", opset]]);
  if (w.microsoft) opsets.set("com.microsoft", 1);
  const irVersion = graph.functions.length > 0 ? Math.max(graph.irVersion, 10) : irVersionOf(opset);
  return { ...graph, ...body, opsets, irVersion };
}
