/** Training under penalties on whole groups: the proximal step against its definition, what dies is gone, the result is the masked network, recipes, bad input. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "../dist/analyze/inspect.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { toBytes } from "../dist/graph/encode.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { float32sOf, floats } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { network } from "../dist/methods/architecture/networks.js";
import type { Tools } from "../dist/methods/method.js";
import { groupLasso, groupLassoMethod } from "../dist/methods/prune/group-lasso.js";
import { growing, growingMethod } from "../dist/methods/prune/growing.js";
import { methodOf } from "../dist/methods/registry.js";
import { evaluate } from "../dist/train/evaluate.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";

const data = blobs(128, [1, 16, 16], 1);
const fresh = blobs(128, [1, 16, 16], 2);
const tools = (dense: Graph, workers = 1): Tools => ({
  engine: ortNode,
  data,
  validation: fresh,
  dense,
  constraints: { masks: new Map(), codebooks: new Map() },
  seed: 1,
  train: (graph, o) => train(graph, { ...o, data, seed: 1, workers, engine: ortNode }),
  settled: (work) => work(),
  evaluate: (graph) => evaluate(graph, fresh, { engine: ortNode }),
  log: () => {},
});

/** Convolution, normalisation, a residual sum and two dense layers. */
function net(): Graph {
  const b = new NetworkBuilder("net", 2);
  const x = b.input("x", [1, 16, 16]);
  const stem = b.relu(b.conv(x, "stem", 16, 3, { pad: 1 }), "relu0");
  const inner = b.relu(b.batchNorm(b.conv(stem, "conv1", 16, 3, { pad: 1, bias: false }), "bn1"), "relu1");
  const out = b.batchNorm(b.conv(inner, "conv2", 16, 3, { pad: 1, bias: false }), "bn2");
  const pooled = b.maxPool(b.relu(b.add(out, stem, "sum"), "relu2"), "pool", 4);
  return b.finish(b.dense(b.relu(b.dense(b.flatten(pooled), "fc1", 32), "relu3"), "fc2", 4), "y");
}
const longer = { epochs: 8, batchSize: 16, microBatch: 8, learningRate: 0.05, softTargets: null };
const training = { epochs: 3, batchSize: 32, microBatch: 16, learningRate: 0.05, softTargets: null };
let known: Promise<Graph> | null = null;
/** Trained once for all tests. */
const trained = (): Promise<Graph> =>
  (known ??= train(net(), { data, epochs: 6, batchSize: 32, microBatch: 16, learningRate: 0.05, seed: 1 }).then(
    (r) => r.graph,
  ));

test("the proximal steps minimise what they say: |v - w|^2 / 2 + rate x penalty", () => {
  const w = Float32Array.of(3, -4, 0.3, 0.4);
  const groups = [new Map([["w", Uint32Array.of(0, 1)]]), new Map([["w", Uint32Array.of(2, 3)]])];
  const v = w.slice();
  groupLasso(groups, 10)(new Map([["w", v]]), { rate: 0.1, step: 0, steps: 8 });
  const lasso = (u: ArrayLike<number>) =>
    Array.from(w, (a, i) => (u[i]! - a) ** 2 / 2).reduce((a, b) => a + b) +
    Math.hypot(u[0]!, u[1]!) +
    Math.hypot(u[2]!, u[3]!);
  assert.deepEqual([...v.slice(2)], [0, 0]);
  assert.ok(Math.abs(Math.hypot(v[0]!, v[1]!) - 4) < 1e-6);
  for (let i = 0; i < 4; i++)
    for (const d of [-1e-2, 1e-2]) assert.ok(lasso(v.map((u, k) => (k === i ? u + d : u))) > lasso(v));
  const g = w.slice();
  growing([groups[0]!], { ceiling: 2, hold: 0.5 })(new Map([["w", g]]), { rate: 0.1, step: 1, steps: 8 });
  // Two of four rising steps: factor 1; w / (1 + 0.1).
  assert.ok(Math.abs(g[0]! - 3 / 1.1) < 1e-6 && g[2] === w[2]);
});

test("group lasso: channels die and are gone, the network still answers, borders and the input graph stay, any number of workers gives the same bytes", async () => {
  const graph = await trained();
  const before = toBytes(graph);
  const o = groupLassoMethod.options.parse({ strength: 1.5, train: longer, finetune: longer });
  const one = await groupLassoMethod.apply(graph, o, tools(graph));
  const two = await groupLassoMethod.apply(graph, o, tools(graph, 2));
  assert.deepEqual(toBytes(one.graph), toBytes(two.graph));
  assert.deepEqual(toBytes(graph), before);
  const [a, b] = [inspect(graph), inspect(one.graph)];
  assert.ok(b.macs < 0.5 * a.macs, `${b.macs} of ${a.macs} MACs`);
  assert.deepEqual([one.graph.inputs, one.graph.outputs], [graph.inputs, graph.outputs]);
  const { error } = await evaluate(one.graph, fresh, { engine: ortNode });
  assert.ok(error < 0.1, `error ${error}`);
  assert.equal(one.history!.length, 16);
});

test("the cut changes nothing: what died was zero, biases and normalisation too", async () => {
  const graph = await trained();
  const o = { strength: 3, train: training, finetune: { epochs: 0 } };
  let sparse: Graph | null = null;
  const spy: Tools = {
    ...tools(graph),
    train: async (g, t) => {
      const result = await tools(graph).train(g, t);
      sparse = result.graph;
      return result;
    },
  };
  const { graph: narrow } = await groupLassoMethod.apply(graph, groupLassoMethod.options.parse(o), spy);
  assert.ok(inspect(narrow).parameters < inspect(sparse!).parameters);
  const { inputs } = fresh.batch([...Array(16).keys()]);
  const [x, y] = await Promise.all(
    [sparse!, narrow].map(async (g) => {
      const session = await ortNode.load(g);
      const out = await session.run({ x: inputs[0]! });
      await session.release();
      return out.y!.data as Float32Array;
    }),
  );
  for (const [i, v] of x!.entries()) assert.ok(Math.abs(v - y![i]!) < 1e-4 * (1 + Math.abs(v)), `${v}, ${y![i]}`);
});

test("shapes and kernels: whole places of a window are zero and stay zero in fine-tuning", async () => {
  const graph = await trained();
  const o = groupLassoMethod.options.parse({
    strength: 1,
    groups: ["shapes", "kernels"],
    train: training,
    finetune: { ...training, epochs: 1 },
  });
  const { graph: after, constraints } = await groupLassoMethod.apply(graph, o, tools(graph));
  const { nonzero, parameters } = inspect(after);
  assert.ok(nonzero < 0.95 * parameters, `${nonzero} of ${parameters}`);
  assert.ok(constraints!.masks!.get("conv1.weight")!.includes(0));
});

test("soft targets: the defaults stay beside the teacher; without a limit on the gradient the steps grow until the network is lost", async () => {
  const b = new NetworkBuilder("steep", 2);
  const conv = b.maxPool(b.relu(b.conv(b.input("x", [1, 16, 16]), "conv1", 8, 5), "relu1"), "pool1", 2);
  const next = b.flatten(b.maxPool(b.relu(b.conv(conv, "conv2", 16, 3), "relu2"), "pool2", 2));
  const start = b.finish(b.dense(b.relu(b.dense(next, "fc1", 64), "relu3"), "fc2", 4), "y");
  const sgd = { batchSize: 32, microBatch: 16, learningRate: 0.01, seed: 1, engine: ortNode };
  const { graph } = await train(start, { data, epochs: 8, ...sgd });
  // Certain answers, as a network has after a long training.
  const d = draft(graph);
  const last = d.initializers.get("fc2.weight")!;
  const sure = float32sOf(last).map((w) => 4 * w);
  d.initializers.set("fc2.weight", floats(sure, last.dims));
  const lossOf = async (clip: object): Promise<number> => {
    const train = { epochs: 3, batchSize: 32, learningRate: 0.02, ...clip };
    const o = groupLassoMethod.options.parse({ strength: 0.2, train, finetune: { epochs: 0 } });
    return (await groupLassoMethod.apply(d, o, tools(d))).history!.at(-1)!.loss;
  };
  const [free, held] = [await lossOf({ clipNorm: 1e9 }), await lossOf({})];
  assert.ok(held < 0.5 && free > 10 * held, `without a limit ${free}, by default ${held}`);
});

test("growing: both choices meet the target, what goes is nearly zero by then", async () => {
  const graph = await trained();
  for (const choose of ["first", "last"]) {
    const o = { target: { macs: 0.5 }, choose, roundTo: 4, ceiling: 10, train: training, finetune: { epochs: 0 } };
    const { graph: after, history } = await growingMethod.apply(graph, growingMethod.options.parse(o), tools(graph));
    const share = inspect(after).macs / inspect(graph).macs;
    assert.ok(share <= 0.5 && share > 0.2, `${choose}: ${share}`);
    const { error } = await evaluate(after, fresh, { engine: ortNode });
    assert.ok(error < 0.15, `${choose}: error ${error}`);
    assert.equal(history!.length, choose === "first" ? 3 : 6);
  }
});

test("bad input: a network without free groups, weights that are pruned already, a target out of reach", async () => {
  const b = new NetworkBuilder("one layer", 1);
  const only = b.finish(b.dense(b.flatten(b.input("x", [1, 16, 16])), "fc", 4), "y");
  const parse = (id: string, o: object) => methodOf(id)!.options.parse({ train: { epochs: 1 }, ...o }) as never;
  await assert.rejects(
    growingMethod.apply(only, parse("prune/growing", {}), tools(only)),
    /no channels of this model can be removed/,
  );
  await assert.rejects(
    groupLassoMethod.apply(only, parse("prune/group-lasso", {}), tools(only)),
    /no channels of this model can be removed:\n.*graph input/,
  );
  const masked = {
    ...tools(only),
    constraints: { masks: new Map([["fc.weight", new Uint8Array(1024)]]), codebooks: new Map() },
  };
  await assert.rejects(groupLassoMethod.apply(only, parse("prune/group-lasso", {}), masked), /before single weights/);
  const cnn = network("cnn-small", { seed: 1 });
  const o = parse("prune/growing", { target: { macs: 1e-5 }, train: { epochs: 0 }, finetune: { epochs: 0 } });
  const { notes } = await growingMethod.apply(cnn, o, tools(cnn));
  assert.match(notes[0]!.why, /target macs=0.00001 cannot be met/);
});
