/** MatMul by a constant and the addition of a row -> Gemm; zeros that a Pad puts around the input of a convolution or pooling -> its own. */
import { infer } from "../analyze/infer.js";
import { attribute, node as makeNode } from "../graph/emit.js";
import type { Graph, Node, Subgraph } from "../graph/graph.js";
import { Attributes } from "../ops/site.js";
import { numbersOf } from "../ops/values.js";
import { eachBody, type Known, producers, readers } from "./each-body.js";

/** The same function. */
export function fuseLinear(graph: Graph): Graph {
  return eachBody(graph, infer(graph), fuseIn);
}

function fuseIn(body: Subgraph, known: Known): Subgraph {
  const makers = producers(body.nodes);
  const counts = readers(body);
  const gone = new Set<Node>();
  const alone = (name: string | undefined): Node | undefined => {
    const maker = name !== undefined && counts.get(name) === 1 ? makers.get(name) : undefined;
    return maker && !gone.has(maker) && maker.domain === "" ? maker : undefined;
  };
  const nodes = body.nodes.map((n) => {
    const fused = n.domain === "" ? (gemmOf(n, known, alone) ?? paddedConv(n, known, alone)) : null;
    if (fused) gone.add(fused.gone);
    return fused?.node ?? n;
  });
  return gone.size > 0 ? { ...body, nodes: nodes.filter((_, i) => !gone.has(body.nodes[i]!)) } : body;
}
interface Fused {
  readonly node: Node;
  readonly gone: Node;
}
type Alone = (name: string | undefined) => Node | undefined;

/** x w + row, x [n, k], w [k, m], row [m] or [1, m]. */
function gemmOf(n: Node, known: Known, alone: Alone): Fused | null {
  if (n.op !== "Add" || known.opset < 7) return null;
  for (const [product, row] of [n.inputs, n.inputs.toReversed()]) {
    const gone = alone(product);
    const bias = known.valueOf(row!);
    const weight = gone?.op === "MatMul" ? known.valueOf(gone.inputs[1]!) : null;
    const rank = gone && known.typeOf(gone.inputs[0]!)?.shape?.length;
    if (!gone || !bias || weight?.dims.length !== 2 || rank !== 2 || weight.type !== "float32") continue;
    const width = weight.dims[1]!;
    const fits = bias.dims.at(-1) === width && bias.dims.slice(0, -1).every((d) => d === 1) && bias.dims.length <= 2;
    if (!fits) continue;
    return { gone, node: { ...makeNode("Gemm", [...gone.inputs, row!], n.outputs), name: n.name } };
  }
  return null;
}

/** Pad with zeros along the spatial axes, then Conv or an AveragePool that counts them. */
function paddedConv(n: Node, known: Known, alone: Alone): Fused | null {
  const gone = n.op === "Conv" || n.op === "AveragePool" ? alone(n.inputs[0]) : undefined;
  if (gone?.op !== "Pad" || known.opset < 2) return null;
  const [pad, conv] = [new Attributes(gone, known.opset), new Attributes(n, known.opset)];
  const stated = known.opset >= 11 ? known.valueOf(gone.inputs[1] ?? "") : null;
  const pads = known.opset >= 11 ? stated && numbersOf(stated) : pad.ints("pads");
  const fill = known.opset >= 11 ? known.valueOf(gone.inputs[2] ?? "") : null;
  const zero = known.opset >= 11 ? !gone.inputs[2] || fill?.bytes.every((b) => b === 0) : pad.float("value", 0) === 0;
  if (!pads || !zero || gone.inputs[3] || pad.string("mode", "constant") !== "constant") return null;
  if (!["NOTSET", "VALID"].includes(conv.string("auto_pad", "NOTSET"))) return null;
  const rank = pads.length / 2;
  const [before, after] = [pads.slice(0, rank), pads.slice(rank)];
  if ([before[0], before[1], after[0], after[1]].some((p) => p !== 0) || pads.some((p) => p < 0)) return null;
  const pooled = n.op === "AveragePool" ? { count_include_pad: attribute(1) } : {};
  const plain = conv.ints("pads", [0]).every((p) => p === 0) && conv.int("ceil_mode", 0) === 0 && known.opset >= 7;
  if (n.op === "AveragePool" && !plain && conv.int("count_include_pad", 0) === 0) return null;
  const own = conv.ints("pads", Array<number>(2 * (rank - 2)).fill(0));
  const sum = [...before.slice(2), ...after.slice(2)].map((p, i) => p + own[i]!);
  const { auto_pad: _, ...attributes } = n.attributes;
  return {
    gone,
    node: {
      ...n,
      inputs: [gone.inputs[0]!, ...n.inputs.slice(1)],
      attributes: { ...attributes, ...pooled, pads: attribute(sum) },
    },
  };
}
