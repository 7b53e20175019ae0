/** The layers of a graph: nodes that multiply by a constant; for each its weight, and which of the weight's axes the output keeps. */
import type { Graph, Node } from "../graph/graph.js";
import { isNone, type Site } from "../ops/record.js";
import { recordOf } from "../ops/registry.js";
import { siteOf } from "../ops/site.js";
import { type Inferred, infer } from "./infer.js";
import { signature } from "./signature.js";

export interface Layer {
  readonly node: Node;
  readonly site: Site;
  /** Which of the node's inputs the weight is. */
  readonly input: number;
  /** The initialiser. */
  readonly weight: string;
  readonly dims: readonly number[];
  /** By axis of the weight: whether the output has it. The others are summed over. */
  readonly kept: readonly boolean[];
  /** The axis of the node's first output that holds the layer's output channels; null where there is none. */
  readonly channelAxis: number | null;
}

/** Layers in the order of the nodes; float32 initialisers of the main graph alone. A weight that several nodes read is there for each of them. */
export function layersOf(graph: Graph, inferred: Pick<Inferred, "types"> = infer(graph)): Layer[] {
  const typeOf = (name: string) => (name ? (inferred.types.get(name) ?? null) : null);
  return graph.nodes.flatMap((node): Layer[] => {
    const record = recordOf(node);
    if (record?.quant !== "weights") return [];
    const [x, y] = [node.inputs.map(typeOf), node.outputs.map(typeOf)];
    const site = siteOf(record, { node, opset: graph.opsets.get(node.domain) ?? 1, x, y });
    const facet = typeof record.axes === "function" ? record.axes(site) : record.axes;
    if (typeof facet === "object" && (isNone(facet) || "picks" in facet)) return [];
    const ranks = (list: typeof x) => list.map((v) => v?.shape?.length ?? null);
    const { inputs, outputs } = signature(typeof facet === "string" ? facet : facet.text, ranks(x), ranks(y));
    const [data, out] = [inputs[0], outputs[0]];
    if (!data || !out) return [];
    const inData = new Set(data.flatMap((p) => p.letters.map((l) => l.name)));
    const inOutput = new Set(out.flatMap((p) => p.letters.map((l) => l.name)));
    return node.inputs.flatMap((weight, input): Layer[] => {
      const term = inputs[input];
      const tensor = graph.initializers.get(weight);
      if (input === 0 || !term || tensor?.type !== "float32" || tensor.dims.length < 2) return [];
      // A letter that stands twice in the weight (h in a recurrent one) is summed over the second time.
      const seen = new Set<string>();
      const kept = term.map((p) => {
        const fresh = p.letters.filter((l) => !seen.has(l.name) && seen.add(l.name));
        return fresh.some((l) => inOutput.has(l.name) && !inData.has(l.name));
      });
      if (kept.every(Boolean)) return [];
      const own = new Set(term.filter((_, d) => kept[d]).flatMap((p) => p.letters.map((l) => l.name)));
      const axis = out.findIndex((p) => p.letters.some((l) => own.has(l.name)));
      return [{ node, site, input, weight, dims: tensor.dims, kept, channelAxis: axis < 0 ? null : axis }];
    });
  });
}
