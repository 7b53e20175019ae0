/** Shape arithmetic -> constants wherever shape inference knows the outcome, and chains of reshapes -> one with a constant target. */
import { infer } from "../analyze/infer.js";
import { node as makeNode } from "../graph/emit.js";
import type { Graph, Node, Shape, Subgraph, Tensor } from "../graph/graph.js";
import { int64s } from "../graph/tensor.js";
import { recordOf } from "../ops/registry.js";
import { Attributes } from "../ops/site.js";
import { eachBody, type Known, producers } from "./each-body.js";

/** The same graph; lengths that stay open stay computed or become 0 and -1 of a Reshape. `inputs`: dims that inputs are given from now on. */
export function settleShapes(graph: Graph, inputs: Readonly<Record<string, readonly number[]>> = {}): Graph {
  return eachBody(graph, infer(graph, { inputs }), settleBody);
}

function settleBody(body: Subgraph, known: Known): Subgraph {
  const outputs = new Set(body.outputs.map((v) => v.name));
  const initializers = new Map(body.initializers);
  const makers = producers(body.nodes);
  let changed = false;
  const nodes = body.nodes.flatMap((n): Node[] => {
    const values = n.outputs.map((o) => (o ? known.valueOf(o) : null));
    const settled = n.outputs.every((o, k) => !o || (values[k] && !outputs.has(o)));
    if (settled && recordOf(n) && values.every((v) => !v || cheap(v))) {
      n.outputs.forEach((o, k) => {
        if (o) initializers.set(o, values[k]!);
      });
      changed = true;
      return [];
    }
    const view = asReshape(n, known, makers, initializers);
    changed ||= view !== n;
    return [view];
  });
  return changed ? { ...body, nodes, initializers } : body;
}
const cheap = (t: Tensor): boolean => t.bytes.length <= 512;

const views = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);
/** Whether a node keeps the elements in their order: a Transpose that moves axes of length one does, and a Split in one part. */
function isView(n: Node | undefined, known: Known): boolean {
  if (n?.domain !== "") return false;
  if (views.has(n.op)) return true;
  if (n.op === "Split") return n.outputs.length === 1;
  if (n.op !== "Transpose") return false;
  const shape = known.typeOf(n.inputs[0]!)?.shape;
  const perm = new Attributes(n, known.opset).ints("perm");
  if (!shape || !perm) return false;
  const moved = perm.filter((p) => shape[p] !== 1);
  return moved.every((p, i) => i === 0 || moved[i - 1]! < p);
}

/** A view of a view, or a Reshape whose target is computed, as one Reshape with a constant target where at most one length is open. */
function asReshape(n: Node, known: Known, makers: ReadonlyMap<string, Node>, initializers: Map<string, Tensor>): Node {
  if (!isView(n, known) || known.opset < 5) return n;
  let [root] = n.inputs as [string];
  for (let maker = makers.get(root); isView(maker, known); maker = makers.get(root)) root = maker!.inputs[0]!;
  const chained = root !== n.inputs[0];
  const computed =
    n.op === "Reshape" && n.inputs[1] !== undefined && !initializers.has(n.inputs[1]) && !known.valueOf(n.inputs[1]);
  if (!chained && !computed) return n;
  const target = targetOf(known.typeOf(root)?.shape ?? null, known.typeOf(n.outputs[0]!)?.shape ?? null);
  if (!target) return n;
  const name = `${n.outputs[0]}_shape`;
  const taken = makers.has(name) || known.typeOf(name) !== null;
  if (taken && !sameInts(initializers.get(name), target)) return n;
  initializers.set(name, int64s(target));
  return { ...makeNode("Reshape", [root, name], n.outputs), name: n.name };
}
const sameInts = (t: Tensor | undefined, values: readonly number[]): boolean =>
  t !== undefined && String(new BigInt64Array(t.bytes.slice().buffer)) === String(values);

/** Lengths, 0 where the input's length at the same place is meant, at most one -1. */
function targetOf(from: Shape | null, to: Shape | null): number[] | null {
  if (!from || !to || to.some((d) => d === 0)) return null;
  let open = 0;
  const target = to.map((d, i) => {
    if (typeof d === "number") return d;
    if (d !== "" && from[i] === d) return 0;
    open++;
    return -1;
  });
  return open <= 1 ? target : null;
}
