/** A graph and the name of a loss in it come in; the same graph with the gradients of that loss appended goes out. */
import { type Inferred, infer } from "../analyze/infer.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { draft, type Graph, type Node, type Tensor, type ValueType } from "../graph/graph.js";
import { readNames } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import { type GradientSite, isNone } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { at, opsetOf, siteOf } from "../ops/site.js";
import { isFloat } from "../ops/values.js";
import { raiseOpset } from "../passes/raise-opset.js";

export interface Differentiated {
  /** At opset 21 or newer, with composite nodes of domain "pare"; `values` types every name. The gradients are its last outputs. */
  readonly graph: Graph;
  /** dL/d(parameter) by parameter; shaped as the parameter, zeros where the loss does not depend on it. */
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * Appends dL/dp for every p of `parameters` (initialisers, inputs or inner names). Shapes on the way must be fixed.
 * Throws PareError for a loss that is not one float, a parameter that is not float, and an operator without a gradient on the way.
 */
export function differentiate(graph: Graph, loss: string, parameters: readonly string[]): Differentiated {
  const raised = raiseOpset(graph);
  const inferred = infer(raised);
  const { types } = inferred;
  const floatType = lossType(types.get(loss), loss);
  for (const p of parameters) parameterType(types.get(p), p, floatType);

  const out = draft(raised);
  out.opsets.set("pare", 1);
  const g = new Emitter(out, floatType);
  const tape = new Tape(g);
  tape.add(loss, g.full(1, fixed(types.get(loss)!, loss)));

  const depends = dependents(raised.nodes, parameters);
  const needed = ancestors(raised.nodes, loss);
  for (const node of [...raised.nodes].reverse()) {
    if (!node.outputs.some((o) => o !== "" && depends.has(o) && needed.has(o))) continue;
    const dy = node.outputs.map((o) => tape.take(o));
    if (dy.every((d) => d === null)) continue;
    const wanted = node.inputs.map((x) => depends.has(x) && isFloat(types.get(x)?.type ?? "undefined"));
    const dx = gradientOf(g, node, dy, wanted, inferred, opsetOf(raised, node.domain));
    dx.forEach((d, i) => {
      if (d !== null && wanted[i]) tape.add(node.inputs[i]!, d);
    });
  }

  const gradients = new Map<string, string>();
  for (const p of parameters) gradients.set(p, tape.peek(p) ?? g.full(0, fixed(types.get(p)!, p)));
  const listed = new Set(out.outputs.map((o) => o.name));
  for (const [p, d] of [[loss, loss], ...gradients] as const)
    if (!listed.has(d)) {
      listed.add(d);
      out.outputs.push({ name: d, type: floatType, shape: types.get(p)!.shape });
    }
  const { types: all } = infer(out);
  for (const [name, type] of all) if (type.type !== "undefined") out.values.set(name, { name, ...type });
  return { graph: out, gradients };
}

/** Gradients that have arrived at each name; they are added when the name's own node is reached. */
class Tape {
  readonly #arrived = new Map<string, string[]>();
  constructor(readonly g: Emitter) {}
  add(name: string, d: string): void {
    const known = this.#arrived.get(name);
    if (known) known.push(d);
    else this.#arrived.set(name, [d]);
  }
  /** The sum of what arrived, in the order of arrival; null where nothing did. */
  peek(name: string): string | null {
    const list = this.#arrived.get(name);
    if (!list) return null;
    const sum = list.reduce((a, b) => this.g.op("Add", [a, b]));
    this.#arrived.set(name, [sum]);
    return sum;
  }
  take(name: string): string | null {
    return name === "" ? null : this.peek(name);
  }
}

function gradientOf(
  g: Emitter,
  node: Node,
  dy: readonly (string | null)[],
  wanted: readonly boolean[],
  { types, values }: Inferred,
  opset: number,
): readonly (string | null)[] {
  const record = recordOf(node);
  if (!record)
    throw new PareError(`${at(node)}: the gradient would have to pass it, and Pare does not know this operator`);
  if (isNone(record.grad)) throw new PareError(`${at(node)}: the gradient cannot pass it: ${record.grad.none}`);
  const x = node.inputs.map((name) => types.get(name) ?? null);
  const y = node.outputs.map((name) => types.get(name) ?? null);
  const dims = (type: ValueType | null | undefined, name: string | undefined): readonly number[] => {
    if (!type || name === undefined) throw new PareError(`${at(node)}: its gradient needs a type that is not known`);
    return fixed(type, `${name}" at ${at(node).replace(/"$/, "")}`);
  };
  const site: GradientSite = {
    ...siteOf(record, { node, opset, x, y, value: (i): Tensor | null => values.get(node.inputs[i] ?? "") ?? null }),
    inputs: node.inputs,
    outputs: node.outputs,
    dy,
    wanted,
    dims: (i) => dims(x[i], node.inputs[i]),
    outDims: (k) => dims(y[k], node.outputs[k]),
  };
  return record.grad(g, site);
}

/** Names whose value depends on one of `roots` (these included). Bodies of control flow count as readers of what they capture. */
function dependents(nodes: readonly Node[], roots: readonly string[]): Set<string> {
  const set = new Set(roots);
  for (const n of nodes)
    if ([...readNames(n)].some((x) => set.has(x))) for (const o of n.outputs) if (o !== "") set.add(o);
  return set;
}

/** Names that `target` depends on (itself included). */
function ancestors(nodes: readonly Node[], target: string): Set<string> {
  const set = new Set([target]);
  for (const n of [...nodes].reverse()) if (n.outputs.some((o) => set.has(o))) for (const x of readNames(n)) set.add(x);
  return set;
}

function lossType(type: ValueType | undefined, loss: string): "float32" | "float64" {
  if (!type) throw new PareError(`the graph has no value "${loss}" to differentiate`, "usage");
  const dims = fixed(type, loss);
  if ((type.type !== "float32" && type.type !== "float64") || sizeOf(dims) !== 1)
    throw new PareError(`the loss "${loss}" should be one float, is ${type.type} [${dims}]`);
  return type.type;
}

function parameterType(type: ValueType | undefined, name: string, wanted: string): void {
  if (!type) throw new PareError(`the graph has no parameter "${name}"`, "usage");
  if (type.type !== wanted)
    throw new PareError(`parameter "${name}" is ${type.type}, the loss is ${wanted}: gradients need one float type`);
}

function fixed(type: ValueType, name: string): readonly number[] {
  const { shape } = type;
  if (shape?.every((d) => typeof d === "number")) return shape as readonly number[];
  throw new PareError(
    `"${name}" has shape ${shape ? `[${shape.map((d) => d || "?")}]` : "of unknown rank"}: gradients need fixed shapes; fix the batch and other symbolic dims of the inputs first`,
  );
}
