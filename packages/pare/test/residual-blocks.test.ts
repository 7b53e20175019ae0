/** Whole residual blocks: found from the graph alone, gone where their weights are zero, pressed to zero by training; what is left computes the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ResidualBlock, residualBlocks } from "../dist/analyze/residual-blocks.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { floats, sizeOf } from "../dist/graph/tensor.js";
import { type Feature, NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { dropZeroBranches } from "../dist/passes/drop-zero-branches.js";
import { liftConstants } from "../dist/passes/lift-constants.js";
import { type Pruned, prune } from "../dist/prune.js";
import { evaluate } from "../dist/train/evaluate.js";
import { train } from "../dist/train/train.js";
import { blobs } from "./support/blobs.js";
import { run } from "./support/cut-proof.js";
import { randomFeeds } from "./support/expose.js";
import { sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, fillZeros } from "./support/zeros.js";

const data = blobs(128, [1, 8, 8], 1);
const fresh = blobs(128, [1, 8, 8], 2);

/** Stem, two blocks on it, one with a projection beside it, a block whose shortcut pools. */
function net(): Graph {
  const b = new NetworkBuilder("residual", 3);
  const branch = (x: Feature, name: string, width: number, stride: number): Feature => {
    const inner = b.relu(
      b.batchNorm(b.conv(x, `${name}.a`, width, 3, { pad: 1, stride, bias: false }), `${name}.n`),
      `${name}.r`,
    );
    return b.batchNorm(b.conv(inner, `${name}.b`, width, 3, { pad: 1, bias: false }), `${name}.m`);
  };
  let x = b.relu(b.conv(b.input("x", [1, 8, 8]), "stem", 8, 3, { pad: 1 }), "stem.r");
  for (const name of ["one", "two"]) x = b.relu(b.add(branch(x, name, 8, 1), x, name), `${name}.out`);
  x = b.relu(b.add(b.conv(x, "side", 12, 1, { stride: 2 }), branch(x, "three", 12, 2), "three"), "three.out");
  x = b.add(b.maxPool(x, "pooled", 2), branch(x, "four", 12, 2), "four");
  return b.finish(b.dense(b.flatten(x), "fc", 4), "y");
}
function zeroed(graph: Graph, names: readonly string[]): Graph {
  const d = draft(graph);
  for (const name of names) {
    const { dims } = d.initializers.get(name)!;
    d.initializers.set(name, floats(new Float32Array(sizeOf(dims)), dims));
  }
  return d;
}
/** One filter of that convolution. */
function narrowed(graph: Graph, conv: string): Graph {
  const d = draft(graph);
  d.values = new Map();
  d.initializers.set(`${conv}.weight`, floats(new Float32Array(4), [1, 4, 1, 1]));
  d.initializers.set(`${conv}.bias`, floats(new Float32Array(1), [1]));
  return d;
}
const names = (blocks: readonly ResidualBlock[]) => blocks.map((b) => b.name);

test("blocks are found with their weights; what is shared, not zero, of another shape or beside nothing is none", () => {
  const { blocks, leftAlone } = residualBlocks(net());
  assert.deepEqual(names(blocks), ["one", "two", "three", "four"]);
  assert.deepEqual(leftAlone, []);
  assert.equal(blocks[2]!.shortcut, "side");
  assert.deepEqual(blocks[0]!.weights, [
    "one.a.weight",
    "one.n.weight",
    "one.n.bias",
    "one.b.weight",
    "one.m.weight",
    "one.m.bias",
  ]);

  const oddGraph = (make: (b: NetworkBuilder, x: Feature) => Feature): Graph => {
    const b = new NetworkBuilder("odd", 1);
    return b.finish(make(b, b.relu(b.conv(b.input("x", [1, 8, 8]), "stem", 4, 1), "stem.r")), "y");
  };
  const odd = (make: Parameters<typeof oddGraph>[0]) => residualBlocks(oddGraph(make));
  const identity = oddGraph((b, x) => b.add(b.conv(x, "conv", 4, 1), x, "sum"));
  assert.deepEqual(names(residualBlocks(identity).blocks), ["sum"]);
  const sigmoid = odd((b, x) => b.add(b.activation(b.conv(x, "conv", 4, 1), "gate", "Sigmoid"), x, "sum"));
  assert.deepEqual(
    sigmoid.leftAlone.map((l) => [l.at, l.why]),
    [["sum", "the branch is not zero when its weights are"]],
  );
  const towers = odd((b, x) => b.add(b.conv(x, "left", 4, 1), b.conv(x, "right", 4, 1), "sum"));
  const broadcast = residualBlocks(narrowed(identity, "conv"));
  assert.match(broadcast.leftAlone[0]!.why, /the branch has the shape \[\d,1,8,8\], the shortcut \[\d,4,8,8\]/);
  const read = odd((b, x) => {
    const conv = b.conv(x, "conv", 4, 1);
    return b.add(b.add(conv, x, "sum"), b.conv(conv, "second", 4, 1), "twice");
  });
  for (const { blocks } of [sigmoid, towers, broadcast, read]) assert.deepEqual(names(blocks), []);
});

test("a graph without its zero branches computes the same; a sum that is an output keeps its name", async () => {
  const graph = net();
  const { blocks } = residualBlocks(graph);
  const feeds = { x: fresh.batch([0, 1, 2, 3]).inputs[0]! };
  for (const block of blocks) {
    const twin = zeroed(graph, block.weights);
    const without = dropZeroBranches(twin);
    assert.ok(block.nodes.every((n) => !without.nodes.includes(n)) && without.nodes.length < graph.nodes.length);
    assert.ok(block.weights.every((w) => !without.initializers.has(w)));
    const [a, b, dense] = [await run(twin, feeds), await run(without, feeds), await run(graph, feeds)];
    assert.ok(far(a, b) < 1e-5 && far(a, dense) > 1e-3, `${block.name}: ${far(a, b)}, ${far(a, dense)}`);
  }
  assert.equal(dropZeroBranches(graph), graph);
  const b = new NetworkBuilder("output", 1);
  const x = b.relu(b.conv(b.input("x", [1, 8, 8]), "stem", 4, 1), "stem.r");
  const last = b.finish(b.add(b.conv(x, "conv", 4, 1), x, "sum"), "y");
  const gone = dropZeroBranches(zeroed(last, ["conv.weight"]));
  assert.deepEqual(gone.outputs, last.outputs);
  assert.equal(
    gone.nodes.some((n) => n.name === "conv"),
    false,
  );
  assert.equal(far(await run(zeroed(last, ["conv.weight"]), feeds), await run(gone, feeds)), 0);
});

test("real networks: every block alone and all at once, zero and gone are the same", {
  skip: sharedData ? false : needsShared,
}, async (t) => {
  const counted: string[] = [];
  const chosen = ["resnet20-cifar", "vit_fusedqkv_freehead", "resnext_g8", "vit_tiny", "vit_sepqkv_fixedhead"];
  for (const model of sharedModels((m) => chosen.includes(m.name))) {
    const graph = fillZeros(liftConstants(await read(model.path)));
    const { blocks } = residualBlocks(graph);
    assert.ok(blocks.length > 1, model.name);
    const feeds = randomFeeds(graph, model.dims);
    for (const some of [blocks, ...blocks.slice(0, 2).map((b) => [b])]) {
      const twin = zeroed(
        graph,
        some.flatMap((b) => b.weights),
      );
      const without = dropZeroBranches(twin);
      assert.ok(some.every((b) => b.weights.every((w) => !without.initializers.has(w))));
      const error = far(await run(twin, feeds), await run(without, feeds));
      assert.ok(error < 1e-5, `${model.name}, ${names(some)}: ${error}`);
    }
    counted.push(`${model.name}: ${blocks.length}`);
  }
  t.diagnostic(counted.join(", "));
});

test("the lasso on blocks: the stronger, the shallower; dead blocks are gone and the network still answers", async () => {
  const { graph } = await train(net(), {
    data,
    epochs: 3,
    batchSize: 32,
    microBatch: 16,
    learningRate: 0.05,
    seed: 1,
    engine: ortNode,
  });
  const training = { epochs: 6, batchSize: 16, microBatch: 8, learningRate: 0.05, softTargets: null };
  const pressed = (strength: number, epochs: number): Promise<Pruned> =>
    prune(graph, {
      method: "group-lasso",
      options: { groups: ["blocks"], strength, train: { ...training, epochs }, finetune: { ...training, epochs: 1 } },
      data,
      seed: 1,
      engine: ortNode,
    });
  const [weak, strong] = [await pressed(0.01, 1), await pressed(12, 6)];
  const depths = [weak, strong].map((r) => residualBlocks(r.graph).blocks.length);
  assert.deepEqual(depths[0], 4);
  assert.ok(depths[1]! < 3, `${depths[1]} blocks at a high strength`);
  assert.match(weak.notes[0]!.why, /no group became zero: raise the strength/);
  assert.ok(strong.notes.some((n) => n.why.endsWith("gone with its block")));
  assert.ok(strong.facts.widths.some((w) => w.after === 0) && strong.facts.widths.every((w) => w.before > 0));
  assert.ok(strong.facts.macs[1] < strong.facts.macs[0]);
  const { error } = await evaluate(strong.graph, fresh, { engine: ortNode });
  assert.ok(error < 0.15, `error ${error}`);
});

test("a network without blocks: an error that says so", async () => {
  const b = new NetworkBuilder("plain", 1);
  const plain = b.finish(b.dense(b.flatten(b.relu(b.conv(b.input("x", [1, 8, 8]), "conv", 4, 3), "r")), "fc", 4), "y");
  const options = { groups: ["blocks"], train: { epochs: 1 } };
  await assert.rejects(
    prune(plain, { method: "group-lasso", options, data, seed: 1, engine: ortNode }),
    /this model has no blocks/,
  );
});
