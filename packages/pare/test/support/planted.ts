/** A small network with residual sums, a gate and a Concat, and quantizations of it with one planted fault each. */

import { Random } from "../../dist/data/random.js";
import type { Samples } from "../../dist/data/samples.js";
import type { NDArray } from "../../dist/engine/engine.js";
import { node } from "../../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph } from "../../dist/graph/graph.js";
import { float32sOf, floats } from "../../dist/graph/tensor.js";
import { applyPlan } from "../../dist/quantization/apply-plan.js";
import { eligibleNodes } from "../../dist/quantization/eligible.js";
import { gridOf, quantizeTensor, weightGrid } from "../../dist/quantization/grid.js";
import type { LayerPlan, Plan } from "../../dist/quantization/plan.js";
import { planOf } from "./planned.js";

const channels = 8;

/** x [1 3 8 8] -> a -> b -> (c, d joined) -> e, gated by the sigmoid of g -> mean -> y [1 6]. */
export function network(seed: number): Draft {
  const random = new Random(seed);
  const d = emptyGraph("planted", 21);
  d.inputs.push({ name: "x", type: "float32", shape: [1, 3, 8, 8] });
  const weights = (dims: readonly number[]) => {
    const size = dims.reduce((p, n) => p * n, 1);
    const spread = Math.sqrt(6 / (size / dims[0]!));
    return floats(
      Float32Array.from({ length: size }, () => spread * (2 * random.uniform() - 1)),
      dims,
    );
  };
  const conv = (name: string, x: string, cin: number, relu = true): string => {
    d.initializers.set(`${name}.w`, weights([channels, cin, 3, 3]));
    d.initializers.set(
      `${name}.b`,
      floats(
        Float32Array.from({ length: channels }, () => 0.1 * random.uniform()),
        [channels],
      ),
    );
    d.nodes.push(node("Conv", [x, `${name}.w`, `${name}.b`], [name], { pads: [1, 1, 1, 1] }));
    if (relu) d.nodes.push(node("Relu", [name], [`${name}.relu`]));
    return relu ? `${name}.relu` : name;
  };
  const b = conv("b", conv("a", "x", 3), channels);
  const [c, dd] = [conv("c", b, channels, false), conv("d", b, channels, false)];
  d.nodes.push(node("Concat", [c, dd], ["joined"], { axis: 1 }));
  const e = conv("e", "joined", 2 * channels);
  conv("g", e, channels, false);
  d.nodes.push(node("Sigmoid", ["g"], ["gate"]));
  d.nodes.push(node("Mul", [e, "gate"], ["gated"]));
  const f = conv("f", "gated", channels);
  d.nodes.push(node("GlobalAveragePool", [f], ["pooled"]), node("Flatten", ["pooled"], ["flat"]));
  d.initializers.set("fc.w", weights([6, channels]));
  d.initializers.set("fc.b", floats([0, 0, 0, 0, 0, 0], [6]));
  d.nodes.push(node("Gemm", ["flat", "fc.w", "fc.b"], ["y"], { transB: 1 }));
  d.outputs.push({ name: "y", type: "float32", shape: [1, 6] });
  return d;
}

export function samples(seed: number, length = 12): Samples {
  const all = Array.from({ length }, (_, i): NDArray => {
    const random = new Random(seed + i);
    const data = Float32Array.from({ length: 192 }, () => 2 * random.uniform() - 1);
    return { type: "float32", dims: [1, 3, 8, 8], data };
  });
  return { name: "noise", length, label: () => null, feeds: (i) => ({ x: all[i]! }), batch: () => null };
}

/** Multiplies part of a constant. */
export function scaled(d: Draft, name: string, factor: (i: number) => number): void {
  const t = d.initializers.get(name)!;
  d.initializers.set(
    name,
    floats(
      float32sOf(t).map((v, i) => v * factor(i)),
      t.dims,
    ),
  );
}

/** The network in eight bits everywhere, by extremes, after `change` had its way with the plan. */
export async function quantized(
  graph: Graph,
  change: (plan: {
    layers: Map<string, LayerPlan>;
    activations: Map<string, Plan["activations"] extends ReadonlyMap<string, infer G> ? G : never>;
  }) => void = () => {},
  reduced = true,
): Promise<Graph> {
  const data = samples(1000);
  const plan = await planOf(
    graph,
    "int8",
    Array.from({ length: data.length }, (_, i) => data.feeds(i)),
  );
  const own = { layers: new Map(plan.layers), activations: new Map(plan.activations) };
  change(own);
  return applyPlan(graph, own, { target: "ort-node", reduced });
}

/** The grid of a value from `low` to `high`. */
export const grid = (low: number, high: number) => gridOf([low, high], "uint8");

/** Weights of a node with one scale for all, or clipped to a share of their range. */
export function coarse(graph: Graph, key: string, clip = 1, axis: number | null = null): LayerPlan {
  const at = eligibleNodes(graph, "ort-node").find((c) => c.key === key)!;
  const tensor = graph.initializers.get(at.node.inputs[1]!)!;
  const values = float32sOf(tensor);
  const found = weightGrid(values, tensor.dims, { axis });
  const narrow = { ...found, scale: found.scale.map((s) => s * clip) };
  return { format: "int8", reason: "", weights: new Map([[1, quantizeTensor(values, tensor.dims, narrow)]]) };
}
export { draft };
