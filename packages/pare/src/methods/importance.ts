/** The Fisher information of each weight: a graph and data enter; how much the network's answer resents a change of each weight leaves. */
import { infer } from "../analyze/infer.js";
import { differentiate } from "../autodiff/differentiate.js";
import type { Dataset, Field } from "../data/dataset.js";
import { fit } from "../data/fit.js";
import { Random } from "../data/random.js";
import { spread } from "../data/views.js";
import type { NDArray } from "../engine/engine.js";
import { Emitter, node } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { type Draft, draft, feeds, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { dropIdentities } from "../passes/drop-identities.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { softmaxBehind } from "../train/softmax-behind.js";
import type { Tools } from "./method.js";

/** Of a fitted network the answers are all but certain and their Fisher information vanishes: softened answers still say what matters. */
const temperature = 2;

/**
 * F_i = E_x E_k (d log p_k(x) / d w_i)^2 by initialiser, p the softmax of the network's logits at temperature 2 and k drawn from p; for data
 * without labels E_x sum_k (d y_k / d w_i)^2. One random sign vector per sample stands for the expectation over k (Hutchinson). `samples`
 * training samples are taken, spread evenly; normalisation layers run as in inference. Throws PareError where the graph cannot be differentiated.
 */
export async function importances(
  graph: Graph,
  names: readonly string[],
  data: Dataset,
  samples: number,
  tools: Pick<Tools, "engine" | "signal">,
): Promise<Map<string, Float32Array>> {
  const fitted = fit(data, feeds(graph));
  const net = sensitivityGraph(graph, fitted.fields, names, data.classes !== undefined);
  const sums = new Map(names.map((name) => [name, new Float64Array(sizeOf(graph.initializers.get(name)!.dims))]));
  const indices = spread(data.length, Math.min(samples, data.length));
  const session = await tools.engine.load(net.graph);
  try {
    for (const index of indices) {
      tools.signal?.throwIfAborted();
      const { inputs } = fitted.batch([index]);
      const fed: Record<string, NDArray> = { [net.signs]: signsFor(index, net.classes) };
      fitted.fields.forEach(({ name }, k) => {
        fed[name!] = inputs[k]!;
      });
      const out = await session.run(fed, [...net.gradients.values()]);
      for (const [name, sum] of sums) {
        const g = out[net.gradients.get(name)!]!.data as Float32Array;
        for (let i = 0; i < sum.length; i++) sum[i]! += g[i]! * g[i]!;
      }
    }
  } finally {
    await session.release();
  }
  return new Map([...sums].map(([name, sum]) => [name, Float32Array.from(sum, (s) => s / indices.length)]));
}

interface SensitivityGraph {
  readonly graph: Graph;
  /** Input [1, classes] of random signs. */
  readonly signs: string;
  readonly classes: number;
  readonly gradients: ReadonlyMap<string, string>;
}

/**
 * Gradients of sum_k s_k z_k for one sample, s held fixed: with signs e, s = e sqrt(p) - p sum(e sqrt(p)), the mean square over e is
 * J^T (diag p - p p^T) J, the Fisher information of a softmax.
 */
function sensitivityGraph(
  graph: Graph,
  inputs: readonly Field[],
  names: readonly string[],
  labelled: boolean,
): SensitivityGraph {
  const net: Draft = { ...draft(dropIdentities(raiseOpset(graph))), values: new Map() };
  net.inputs = inputs.map((f) => ({ name: f.name!, type: f.type, shape: [1, ...f.dims] }));
  const output = net.outputs[0]!.name;
  const logits = (labelled && softmaxBehind(net, output)) || output;
  net.outputs = [];
  const shape = infer(net).types.get(logits)?.shape;
  if (!shape?.every((d) => typeof d === "number"))
    throw new PareError(
      `"${logits}" has no fixed shape for one sample: the importance of its weights cannot be measured`,
    );
  const classes = sizeOf(shape as number[]);
  const g = new Emitter(net);
  const [signs, held] = [g.fresh("signs"), g.fresh("sensitivity")];
  net.inputs.push({ name: held, type: "float32", shape: [1, classes] });
  const flat = g.reshape(logits, [1, classes]);
  const loss = g.reduceSum(g.op("Mul", [flat, held]), [0, 1]);
  const { graph: differentiated, gradients } = differentiate(net, loss, names);

  // Only now does the sensitivity become a function of the logits: the gradient must not see that.
  const out = draft(differentiated);
  out.inputs = out.inputs.filter((v) => v.name !== held);
  out.inputs.push({ name: signs, type: "float32", shape: [1, classes] });
  const at = out.nodes.findIndex((n) => n.outputs.includes(flat)) + 1;
  const rest = out.nodes.splice(at);
  const s = new Emitter(out, "float32", "fisher_");
  if (labelled) {
    const p = s.op("Softmax", [s.op("Mul", [flat, s.scalar(1 / temperature)])], { axis: -1 });
    const drawn = s.op("Mul", [signs, s.op("Sqrt", [p])]);
    s.push(node("Sub", [drawn, s.op("Mul", [p, s.reduceSum(drawn, [1], true)])], [held]));
  } else s.push(node("Identity", [signs], [held]));
  out.nodes.push(...rest);
  return { graph: out, signs, classes, gradients };
}
function signsFor(sample: number, classes: number): NDArray {
  const random = new Random(sample, classes);
  return {
    type: "float32",
    dims: [1, classes],
    data: Float32Array.from({ length: classes }, () => (random.uint32() & 1 ? 1 : -1)),
  };
}
