/** Optimal brain damage: a graph and data -> h w^2 / 2, the rise of the loss when a weight goes, h the diagonal of the loss's Hessian. */
import { infer } from "../analyze/infer.js";
import { differentiate } from "../autodiff/differentiate.js";
import { crossEntropyOnDistributions } from "../autodiff/losses.js";
import { fit } from "../data/fit.js";
import { spread } from "../data/views.js";
import type { NDArray } from "../engine/engine.js";
import { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import { type Draft, draft, feeds, type Graph } from "../graph/graph.js";
import { sizeOf } from "../graph/tensor.js";
import { raiseOpset } from "../passes/raise-opset.js";
import { rebatch } from "../passes/rebatch.js";
import { softmaxBehind } from "../train/softmax-behind.js";
import { targetRow } from "./each-gradient.js";
import { trueFisher } from "./fisher.js";
import type { Measure, Question } from "./measure.js";
import { timesSquare } from "./weight-values.js";

/** Up to so many weights the diagonal is exact: it takes one run for each. */
const mostExact = 5000;

/**
 * d^2 L / d w_i^2 for every element of `names`, L the mean loss over the samples (cross-entropy of labels, half the squared error of targets),
 * by the gradient of the gradient: one run per weight. float32 or float64 graphs.
 */
export async function hessianDiagonal(q: Question): Promise<Map<string, Float64Array>> {
  const data = q.data!;
  const fitted = fit(data, feeds(q.graph));
  const indices = spread(data.length, Math.min(q.samples, data.length));
  const batch = fitted.batch(indices);
  const type = fitted.fields[0]!.type === "float64" ? "float64" : "float32";
  const net = curvatureGraph(q.graph, {
    rows: indices.length,
    inputs: fitted.fields.map((f) => ({ name: f.name!, type: f.type, dims: f.dims })),
    names: q.names,
    labelled: data.classes !== undefined,
    type,
  });
  const ArrayOf = type === "float64" ? Float64Array : Float32Array;
  const rows = Array.from(indices, (_, i) => targetRow(batch, i, net.width, data.name));
  const fed: Record<string, NDArray> = {
    [net.target]: { type, dims: [rows.length, net.width], data: ArrayOf.from(rows.flatMap((r) => [...r])) },
  };
  fitted.fields.forEach(({ name }, k) => {
    fed[name!] = batch.inputs[k]!;
  });
  const directions = new Map(
    q.names.map((name) => {
      const { dims } = q.graph.initializers.get(name)!;
      return [name, { type, dims, data: new ArrayOf(sizeOf(dims)) } as const];
    }),
  );
  const session = await q.engine.load(net.graph);
  try {
    const diagonal = new Map<string, Float64Array>();
    for (const [name, { data: direction }] of directions) {
      const h = new Float64Array(direction.length);
      for (let i = 0; i < h.length; i++) {
        q.signal?.throwIfAborted();
        direction[i] = 1;
        for (const [other, array] of directions) fed[net.directions.get(other)!] = array;
        const out = await session.run(fed, [net.products.get(name)!]);
        h[i] = Number(out[net.products.get(name)!]!.data[i]);
        direction[i] = 0;
      }
      diagonal.set(name, h);
    }
    return diagonal;
  } finally {
    await session.release();
  }
}

interface CurvatureOptions {
  readonly rows: number;
  readonly inputs: readonly {
    readonly name: string;
    readonly type: Draft["inputs"][number]["type"];
    readonly dims: readonly number[];
  }[];
  readonly names: readonly string[];
  readonly labelled: boolean;
  readonly type: "float32" | "float64";
}
interface CurvatureGraph {
  readonly graph: Graph;
  readonly target: string;
  readonly width: number;
  /** The input v by initialiser, and the output H v. */
  readonly directions: ReadonlyMap<string, string>;
  readonly products: ReadonlyMap<string, string>;
}

/** H v = d(g . v)/dw, g the gradient. */
function curvatureGraph(graph: Graph, o: CurvatureOptions): CurvatureGraph {
  const net: Draft = { ...draft(rebatch(raiseOpset(graph), o.rows)), values: new Map() };
  net.inputs = o.inputs.map((f) => ({ name: f.name, type: f.type, shape: [o.rows, ...f.dims] }));
  const output = net.outputs[0]!.name;
  const logits = (o.labelled && softmaxBehind(net, output)) || output;
  net.outputs = [];
  const shape = infer(net).types.get(logits)?.shape;
  if (!shape?.every((d) => typeof d === "number"))
    throw new PareError(`"${logits}" has no fixed shape for ${o.rows} samples: its curvature cannot be measured`);
  const width = sizeOf(shape as number[]) / o.rows;
  const g = new Emitter(net, o.type);
  const target = g.fresh("target");
  net.inputs.push({ name: target, type: o.type, shape: [o.rows, width] });
  const z = g.reshape(logits, [o.rows, width]);
  let loss: string;
  if (o.labelled) loss = crossEntropyOnDistributions(g, z, target);
  else {
    const difference = g.op("Sub", [z, target]);
    const squares = g.reduceSum(g.op("Mul", [difference, difference]), [0, 1]);
    loss = g.op("Mul", [squares, g.scalar(0.5 / o.rows)]);
  }
  const first = differentiate(net, loss, o.names);
  const second = draft(first.graph);
  const s = new Emitter(second, o.type, "curvature_");
  const directions = new Map<string, string>();
  const terms = o.names.map((name) => {
    const { dims } = graph.initializers.get(name)!;
    const v = s.fresh("direction");
    directions.set(name, v);
    second.inputs.push({ name: v, type: o.type, shape: dims });
    const size = sizeOf(dims);
    return s.reduceSum(s.op("Mul", [s.reshape(first.gradients.get(name)!, [size]), s.reshape(v, [size])]), [0]);
  });
  const along = terms.reduce((a, b) => s.op("Add", [a, b]));
  second.outputs = [];
  const { graph: result, gradients } = differentiate(second, along, o.names);
  return { graph: result, target, width, directions, products: gradients };
}

const paper = "LeCun, Denker, Solla: Optimal Brain Damage, 1990";

/**
 * Exact up to 5,000 weights, else the Levenberg-Marquardt form: second derivatives of the activations are dropped, which for ReLU networks
 * changes nothing, and the diagonal of J^T H_z J is estimated with one random sign vector per sample.
 * Differs from the paper: no layer-by-layer recursion that also drops the off-diagonal terms inside.
 */
export const obd: Measure = {
  paper,
  needs: "labels",
  score: async (q) => {
    const count = q.names.reduce((n, name) => n + sizeOf(q.graph.initializers.get(name)!.dims), 0);
    if (count > mostExact) return timesSquare(q.graph, await trueFisher(q));
    const diagonal = await hessianDiagonal(q);
    return timesSquare(q.graph, new Map([...diagonal].map(([name, h]) => [name, Float32Array.from(h)])));
  },
};
