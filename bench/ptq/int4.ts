/** Prints what 4-bit matrices cost and keep: bytes of the whole model, and signal to noise of its outputs on test data, by the way of rounding. */
import { join } from "node:path";
import { secondMoments } from "../../packages/pare/dist/calibrate/moments.js";
import { compare } from "../../packages/pare/dist/compare.js";
import { openSamples } from "../../packages/pare/dist/data/open-samples.js";
import { ortNode } from "../../packages/pare/dist/engine/ort-node.js";
import { toBytes } from "../../packages/pare/dist/graph/encode.js";
import { read } from "../../packages/pare/dist/graph/file.js";
import { float32sOf } from "../../packages/pare/dist/graph/tensor.js";
import { gptq } from "../../packages/pare/dist/methods/quantize/gptq.js";
import { hqq } from "../../packages/pare/dist/methods/quantize/hqq.js";
import { applyPlan } from "../../packages/pare/dist/quantization/apply-plan.js";
import { quantizeTensor, weightGrid } from "../../packages/pare/dist/quantization/grid.js";
import type { Grid, LayerPlan, QuantizedTensor } from "../../packages/pare/dist/quantization/plan.js";
import { simplify } from "../../packages/pare/dist/simplify.js";
import type { Model } from "./models.js";
import { root } from "./sources/places.js";
import type { Rounding, Roundings } from "./table.js";

const engine = ortNode;
type Round = (values: Float32Array, dims: readonly number[], grid: Grid, moments: Float64Array) => QuantizedTensor;
const ways: Readonly<Record<string, Round>> = {
  nearest: quantizeTensor,
  hqq,
  gptq,
};

/** Codes of the same blocks of 32 by every way of rounding, with a scale alone (int4) and with a zero point too (uint4). */
export async function roundings({ name, path, data }: Pick<Model, "name" | "path" | "data">): Promise<Roundings> {
  const { graph } = await simplify(await read(await path()), { engine, opset: 21 });
  const module = join(root, `bench-dist/ptq/data/${data}.js`);
  const [seen, unseen] = [
    await openSamples(module, graph, { split: "train", limit: 32 }),
    await openSamples(module, graph, { split: "test", limit: 50 }),
  ];
  const nodes = graph.nodes.filter((n) => n.op === "MatMul" && graph.initializers.get(n.inputs[1]!)?.dims.length === 2);
  const keys = nodes.map((n) => n.outputs[0]!);
  const moments = await secondMoments(graph, keys, seen, { engine });
  const rows: Record<string, Rounding> = {};
  for (const [way, round] of Object.entries(ways))
    for (const type of ["int4", "uint4"] as const) {
      const started = process.cpuUsage();
      const layers = nodes.map((n): [string, LayerPlan] => {
        const { dims } = graph.initializers.get(n.inputs[1]!)!;
        const values = float32sOf(graph.initializers.get(n.inputs[1]!)!);
        const grid = weightGrid(values, dims, { type, axis: 0, block: 32 });
        const codes = round(values, dims, grid, moments.get(n.outputs[0]!)!.products);
        return [n.outputs[0]!, { format: "weights4", reason: way, weights: new Map([[1, codes]]) }];
      });
      const cpuSeconds = process.cpuUsage(started).user / 1e6;
      const plan = { layers: new Map(layers), activations: new Map() };
      const quantized = applyPlan(graph, plan, { target: "ort-node" });
      const { snrDb } = await compare(graph, quantized, unseen, { engine, layers: false });
      rows[`${way} ${type}`] = { sizeBytes: toBytes(quantized).length, snrDb, cpuSeconds };
      console.error(`${name}: ${way} ${type}: ${JSON.stringify(rows[`${way} ${type}`])}`);
    }
  return { matrices: nodes.length, sizeBytes: toBytes(graph).length, rows };
}
