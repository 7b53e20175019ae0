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
import { models } from "./models.js";
import { root } from "./sources/places.js";

const engine = ortNode;
type Round = (values: Float32Array, dims: readonly number[], grid: Grid, moments: Float64Array) => QuantizedTensor;
const ways: Readonly<Record<string, Round>> = {
  nearest: quantizeTensor,
  hqq,
  gptq,
};

for (const { name, path, data } of models.filter((m) => m.int4)) {
  const { graph } = await simplify(await read(await path()), { engine, opset: 21 });
  const module = join(root, `bench-dist/ptq/data/${data}.js`);
  const [seen, unseen] = [
    await openSamples(module, graph, { split: "train", limit: 32 }),
    await openSamples(module, graph, { split: "test", limit: 50 }),
  ];
  const nodes = graph.nodes.filter((n) => n.op === "MatMul" && graph.initializers.get(n.inputs[1]!)?.dims.length === 2);
  const moments = await secondMoments(
    graph,
    nodes.map((n) => n.outputs[0]!),
    seen,
    { engine },
  );
  console.log(`${name}: ${nodes.length} matrices, ${toBytes(graph).length} bytes in float32`);
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
      const seconds = process.cpuUsage(started).user / 1e6;
      const plan = { layers: new Map(layers), activations: new Map() };
      const quantized = applyPlan(graph, plan, { target: "ort-node" });
      const { snrDb } = await compare(graph, quantized, unseen, { engine, layers: false });
      console.log(
        `  ${way.padEnd(8)} ${type.padEnd(6)} ${toBytes(quantized).length} bytes  ${snrDb?.toFixed(1)} dB  rounded in ${seconds.toFixed(1)} s`,
      );
    }
}
