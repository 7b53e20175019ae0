/** BatchNormalization with running statistics: y = (x - mean) / sqrt(var + epsilon) scale + bias, per channel. */
import type { Emitter } from "../graph/emit.js";
import { PareError } from "../graph/error.js";
import type { Node, ValueType } from "../graph/graph.js";
import { inexact } from "./elementwise.js";
import { awaits, type GradientSite, type Operator, ofAffine, op, type Site, type TrainingSite } from "./record.js";
import { Attributes, at, need } from "./site.js";
import { scaledZero } from "./zero.js";

interface BatchNorm {
  readonly epsilon: number;
  readonly momentum: number;
  /** false (before opset 9): statistics per element of a sample instead of per channel. */
  readonly spatial: boolean;
  readonly training: boolean;
}

/** x [n c s...]; scale, bias, mean, var [c]. */
const batchNormalization = op<BatchNorm>({
  type: "BatchNormalization",
  zero: scaledZero,
  homogeneous: ofAffine,
  channelScale: 1,
  untrained: [3, 4],
  domain: "",
  attrs: (r) => ({
    epsilon: r.float("epsilon", 1e-5),
    momentum: r.float("momentum", 0.9),
    spatial: r.opset >= 9 || r.int("spatial", 1) !== 0,
    training: r.opset >= 14 ? r.int("training_mode", 0) !== 0 : r.opset < 7 && r.int("is_test", 0) === 0,
  }),
  axes: (s) => {
    const c = s.a.spatial ? "c" : "c s...";
    const statistics = s.node.outputs.slice(1).map(() => `, ${c}`);
    return `n c s..., ${c}, ${c}, ${c}, ${c} -> n c s...${statistics.join("")}`;
  },
  shape: (s) => {
    const x = need(s, 0);
    const statistics = need(s, 3);
    return s.node.outputs.map((name, k): ValueType | null => (k === 0 ? x : name ? statistics : null));
  },
  grad: (g, s) => {
    if (s.a.training)
      throw new PareError(
        `${at(s.node)}: is in training mode already; its gradient is pare.BatchNormTrainingGrad of a pare.BatchNormTraining`,
      );
    const dy = s.dy[0];
    return dy ? gradient(g, s, dy) : s.inputs.map(() => null);
  },
  quant: "arithmetic",
  packs: awaits("batch-normalization"),
  raise,
  train,
  rewrite: "none needed",
  fold: inexact,
});

/** Statistics are constants of the forward pass, so the gradient is that of a scale and a shift per channel. */
function gradient(g: Emitter, s: GradientSite<BatchNorm>, dy: string): (string | null)[] {
  const dims = s.dims(0);
  const [x, scale, , mean, variance] = s.inputs as [string, string, string, string, string];
  const perChannel = s.a.spatial ? [-1, ...dims.slice(2).map(() => 1)] : [...dims.slice(1)];
  const wide = (v: string) => (s.a.spatial && dims.length > 2 ? g.reshape(v, perChannel) : v);
  const axes = s.a.spatial ? dims.flatMap((_, d) => (d === 1 ? [] : [d])) : [0];
  const sum = (v: string) => g.reduceSum(v, axes);
  const [wantsX, wantsScale, wantsBias, wantsMean, wantsVar] = s.wanted;
  const root =
    wantsX || wantsScale || wantsMean || wantsVar ? g.op("Sqrt", [g.op("Add", [variance, g.scalar(s.a.epsilon)])]) : "";
  const slope = wantsX || wantsMean ? g.op("Div", [scale, root]) : "";
  const total = wantsBias || wantsMean ? sum(dy) : "";
  // sum dy (x - mean) / root: the scale's gradient, and up to a factor the variance's.
  const against =
    wantsScale || wantsVar ? g.op("Div", [sum(g.op("Mul", [dy, g.op("Sub", [x, wide(mean)])])), root]) : "";
  return [
    wantsX ? g.op("Mul", [dy, wide(slope)]) : null,
    wantsScale ? against : null,
    wantsBias ? total : null,
    wantsMean ? g.op("Neg", [g.op("Mul", [total, slope])]) : null,
    wantsVar
      ? g.op("Mul", [
          g.op("Mul", [against, g.scalar(-0.5)]),
          g.op("Div", [scale, g.op("Add", [variance, g.scalar(s.a.epsilon)])]),
        ])
      : null,
  ];
}

/** Batch statistics, which the running ones follow. */
function train(node: Node, t: TrainingSite): void {
  const { g, initializers } = t;
  const [x, scale, bias, mean, variance] = node.inputs as [string, string, string, string, string];
  const read = new Attributes(node, t.opset);
  // Statistics that are computed, not stored, have nowhere to run along: the node stays as it is.
  if (!initializers.has(mean) || !initializers.has(variance)) {
    g.push(node);
    return;
  }
  const batch = [g.fresh("mean"), g.fresh("variance")] as const;
  g.push({
    op: "BatchNormTraining",
    domain: "pare",
    name: node.name,
    inputs: [x, scale, bias],
    outputs: [node.outputs[0]!, ...batch],
    attributes: { epsilon: { kind: "float", value: read.float("epsilon", 1e-5) } },
  });
  const momentum = read.float("momentum", 0.9);
  t.follow({ running: mean, batch: batch[0], momentum }, { running: variance, batch: batch[1], momentum });
}

/** Opset 15's form. Statistics per element become a scale and a shift written out. */
function raise(g: Emitter, node: Node, opset: number, s: Site<BatchNorm> | null): readonly string[] | "same" {
  if (opset >= 14) return "same";
  if (node.outputs.slice(1).some(Boolean))
    throw new PareError(
      `${at(node)}: opset ${opset} with statistics as outputs means training mode; export it for inference`,
    );
  const { spatial, epsilon, momentum } = node.attributes;
  const flat = opset < 9 && spatial?.kind === "int" && Number(spatial.value) === 0;
  if (!flat) {
    g.push({
      ...node,
      outputs: [node.outputs[0]!],
      attributes: { ...(epsilon ? { epsilon } : {}), ...(momentum ? { momentum } : {}) },
    });
    return [node.outputs[0]!];
  }
  const [x, scale, bias, mean, variance] = node.inputs as [string, string, string, string, string];
  const small = g.constant({
    type: "float32",
    dims: [],
    bytes: new Uint8Array(Float32Array.of(epsilon?.kind === "float" ? epsilon.value : 1e-5).buffer),
  });
  const root = g.op("Sqrt", [
    g.op("Add", [variance, s?.x[0]?.type === "float32" ? small : g.op("CastLike", [small, x])]),
  ]);
  const scaled = g.op("Mul", [g.op("Div", [g.op("Sub", [x, mean]), root]), scale]);
  g.push({ ...node, op: "Add", inputs: [scaled, bias], outputs: [node.outputs[0]!], attributes: {} });
  return [node.outputs[0]!];
}

export const batchNormalizations: readonly Operator[] = [batchNormalization];
