/** The blocked lowering computes what the obvious realisation computes, on nets of odd sizes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NDArray } from "../dist/engine/engine.js";
import { lowerBlocked } from "../dist/engine/lower-blocked.js";
import { lowerPlain } from "../dist/engine/lower-plain.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { blockSize } from "../dist/engine/probe.js";
import type { Graph } from "../dist/graph/graph.js";
import { sizeOf } from "../dist/graph/tensor.js";
import { lowerObvious } from "./composite-oracle.js";
import { largestDifference } from "./support/agreement.js";
import { emulateNchwc } from "./support/emulate-nchwc.js";
import { TrainingNet } from "./training-net.js";

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

function feedsOf(graph: Graph, seed: number): Record<string, NDArray> {
  const next = random(seed);
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => {
      const dims = shape as number[];
      // BatchNorm scales around 1: with some near 0, gradients behind them are sums that cancel, in any realisation.
      const scale = name.startsWith("scale");
      const data = Float32Array.from({ length: sizeOf(dims) }, () => (scale ? 1 + next() / 2 : next()));
      return [name, { type: "float32", dims, data }];
    }),
  );
}

async function run(graph: Graph, feeds: Record<string, NDArray>): Promise<Record<string, NDArray>> {
  const session = await ortNode.load(graph);
  const result = await session.run(feeds);
  await session.release();
  return result;
}

const ops = (graph: Graph, domain: string) => graph.nodes.filter((n) => n.domain === domain).map((n) => n.op);

/** What a lowering to blocks of 16 or 8 gives here: by the machine's own kernels where it has that size, else emulated. */
async function runBlocked(
  lowered: Graph,
  block: number,
  feeds: Record<string, NDArray>,
): Promise<Record<string, NDArray>> {
  const own = (await blockSize(ortNode)) === block;
  return run(lowerObvious(own ? lowered : emulateNchwc(lowered, block)), feeds);
}

/** For both block sizes: relative L2 below 1e-5 on every output, where the computation allows it. The lowering to this machine's blocks (or to 8). */
async function agrees(graph: Graph, seed = 1): Promise<Graph> {
  const feeds = feedsOf(graph, seed);
  const wanted = await run(lowerObvious(graph), feeds);
  const values = (result: Record<string, NDArray>) => graph.outputs.map((v) => result[v.name]!.data as Float32Array);
  assert.ok(values(wanted).some((a) => a.some((v) => v !== 0)));
  for (const block of [8, 16]) {
    const got = await runBlocked(lowerBlocked(graph, block), block, feeds);
    for (const { name } of graph.outputs) assert.deepEqual(got[name]!.dims, wanted[name]!.dims, name);
    const error = largestDifference(values(wanted), values(got));
    if (error < 1e-5) continue;
    // Sums that cancel have fewer digits in any realisation: how many is what a third one tells.
    const usual = largestDifference(values(wanted), values(await run(lowerPlain(graph), feeds)));
    assert.ok(error < 10 * usual, `blocks of ${block}: relative error ${error}, of the plain lowering ${usual}`);
  }
  return lowerBlocked(graph, (await blockSize(ortNode)) ?? 8);
}

test("the probe's block size is right, and another is not", async (t) => {
  const block = await blockSize(ortNode);
  if (block === null) return t.skip("this machine's onnxruntime has no blocked kernels");
  const net = new TrainingNet([2, 16, 6, 6]);
  const graph = net.finish(net.conv("x", 16, { k: 3 }));
  const feeds = feedsOf(graph, 1);
  const y = async (g: Graph) => [(await run(lowerObvious(g), feeds))[graph.outputs[0]!.name]!.data as Float32Array];
  assert.ok(largestDifference(await y(graph), await y(lowerBlocked(graph, block))) < 1e-5);
  assert.ok(largestDifference(await y(graph), await y(lowerBlocked(graph, 24 - block))) > 1e-2);
});

test("LeNet-5: no composite node is left, and convolutions are blocked", async () => {
  const net = new TrainingNet([16, 1, 28, 28]);
  let x = net.maxPool(net.conv("x", 20, { k: 5 }));
  x = net.maxPool(net.conv(x, 50, { k: 5 }));
  x = net.dense(net.relu(net.dense(net.flatten(x), 500)), 10);
  const lowered = await agrees(net.finish(x));
  // The ReLU between the dense layers; and conv2's input gradient, for which 20 channels and 8 columns are too far from whole blocks.
  assert.deepEqual(ops(lowered, "pare"), ["ReluGrad", "ConvInputGrad"]);
  assert.equal(lowered.nodes.filter((n) => n.op === "Conv" && n.domain === "").length, 0);
});

test("a small CNN with ReLU before pooling", async () => {
  const net = new TrainingNet([8, 1, 28, 28]);
  let x = net.maxPool(net.relu(net.conv("x", 16, { k: 3, p: 1 })));
  x = net.maxPool(net.relu(net.conv(x, 32, { k: 3, p: 1 })));
  x = net.dense(net.relu(net.dense(net.flatten(x), 128)), 10);
  assert.deepEqual(ops(await agrees(net.finish(x)), "pare"), ["ReluGrad"]);
});

const widths = [1, 3, 8, 16, 20, 50];
for (const [k, s, pads] of [
  [1, 1, [0, 0, 0, 0]],
  [1, 2, [0, 0, 0, 0]],
  [3, 1, [1, 1, 1, 1]],
  [3, 1, [0, 1, 2, 0]],
  [3, 2, [1, 1, 1, 1]],
  [3, 2, [0, 0, 1, 1]],
  [5, 1, [2, 2, 2, 2]],
  [5, 2, [2, 2, 2, 2]],
  [5, 3, [1, 1, 1, 1]],
  [7, 2, [3, 3, 3, 3]],
] as const) {
  test(`convolution ${k}x${k}, stride ${s}, pads ${pads}: odd channel counts and sizes`, async () => {
    let blockedGradients = 0;
    for (const [i, o] of widths.entries()) {
      const c = widths[(i * 5 + 2) % widths.length]!;
      const net = new TrainingNet([i % 2 ? 16 : 5, c, 12 + (i % 3), 11]);
      const hidden = net.relu(net.conv("x", c, { k: 3, p: 1 }));
      const lowered = await agrees(net.finish(net.conv(hidden, o, { k, s, pads, bias: i % 2 === 0 })));
      assert.ok(ops(lowered, "com.microsoft.nchwc").includes("Conv"));
      // An input gradient may be shorter in plain layout where channels are far from whole blocks.
      assert.deepEqual(new Set([...ops(lowered, "pare"), "ConvInputGrad"]), new Set(["ConvInputGrad"]));
      blockedGradients += ops(lowered, "pare").includes("ConvInputGrad") ? 0 : 1;
    }
    assert.ok(blockedGradients > 0);
  });
}

test("dilated and grouped convolutions", async () => {
  const net = new TrainingNet([8, 3, 13, 12]);
  let x = net.relu(net.conv("x", 32, { k: 3, p: 1 }));
  x = net.relu(net.conv(x, 32, { k: 3, p: 2, d: 2 }));
  x = net.relu(net.conv(x, 32, { k: 3, p: 1, group: 2 }));
  x = net.relu(net.conv(x, 24, { k: 3, p: 1, group: 8, s: 2 }));
  await agrees(net.finish(x));
});

for (const s of [1, 2])
  test(`depthwise convolution, stride ${s}`, async () => {
    for (const c of [3, 8, 20]) {
      const net = new TrainingNet([8, c, 11, 12]);
      const x = net.relu(net.conv("x", c, { k: 3, p: 1, group: c }));
      await agrees(net.finish(net.conv(x, c, { k: 3, s, p: 1, group: c })));
    }
  });

test("residual additions, one in phases and one fused", async () => {
  const net = new TrainingNet([8, 3, 16, 16]);
  const x = net.relu(net.conv("x", 16, { k: 3, p: 1 }));
  const down = net.add(
    net.conv(net.relu(net.conv(x, 24, { k: 3, s: 2, p: 1 })), 24, { k: 3, p: 1 }),
    net.conv(x, 24, { k: 1, s: 2 }),
  );
  const y = net.relu(down);
  const z = net.relu(net.add(net.conv(y, 24, { k: 3, p: 1 }), y));
  await agrees(net.finish(net.dense(net.flatten(net.globalAveragePool(z)), 10)));
});

test("a pooling whose windows leave a rest stays plain, and is right between blocked convolutions", async () => {
  const net = new TrainingNet([8, 3, 13, 13]);
  const x = net.relu(net.conv("x", 12, { k: 3, p: 1 }));
  const lowered = await agrees(net.finish(net.conv(net.maxPool(x, 3), 20, { k: 3 })));
  assert.ok(ops(lowered, "pare").includes("MaxPoolGrad"));
});

test("BatchNorm chains with residuals, a ResNet in small", async () => {
  for (const [n, c] of [
    [16, 16],
    [8, 20],
    [5, 3],
  ] as const) {
    const net = new TrainingNet([n, 3, 10, 10]);
    let x = net.relu(net.batchNorm(net.conv("x", c, { k: 3, p: 1, bias: false })));
    const block = (from: string, o: number, s: number) => {
      const body = net.relu(net.batchNorm(net.conv(from, o, { k: 3, p: 1, s, bias: false })));
      const shortcut = s > 1 ? net.batchNorm(net.conv(from, o, { k: 1, s, bias: false })) : from;
      return net.relu(net.add(net.batchNorm(net.conv(body, o, { k: 3, p: 1, bias: false })), shortcut));
    };
    x = block(block(x, c, 1), 2 * c, 2);
    await agrees(net.finish(net.dense(net.flatten(net.globalAveragePool(x)), 10)));
  }
});

test("a depthwise net with BatchNorm", async () => {
  const net = new TrainingNet([16, 3, 16, 16]);
  let x = "x";
  for (const [o, s] of [
    [32, 1],
    [64, 2],
    [20, 2],
  ] as const) {
    x = net.relu(net.batchNorm(net.conv(x, net.dims(x)[1]!, { k: 3, p: 1, s, group: net.dims(x)[1]!, bias: false })));
    x = net.relu(net.batchNorm(net.conv(x, o, { k: 1, bias: false })));
  }
  await agrees(net.finish(net.dense(net.flatten(net.globalAveragePool(x)), 10)));
});

test("random nets of convolutions, poolings, BatchNorm and residuals", async () => {
  for (let seed = 1; seed <= 25; seed++) {
    const next = random(seed * 7919);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(((next() + 1) / 2) * list.length) % list.length]!;
    const net = new TrainingNet([pick([1, 3, 8, 12, 16]), pick([1, 3, 8, 20]), pick([9, 12, 16]), pick([8, 13, 16])]);
    let x = "x";
    let normalised = false;
    for (let depth = pick([2, 3, 4, 5]); depth > 0; depth--) {
      const [, c, h, w] = net.dims(x) as [number, number, number, number];
      const k = pick([1, 2, 3, 5].filter((size) => size <= Math.min(h, w)));
      const kind = pick(["dense", "dense", "depthwise", "grouped", "pool", "residual"]);
      const bias = pick([true, false]);
      let fanIn = 0;
      if (kind === "pool" && Math.min(h, w) > 3) x = net.maxPool(x, pick([2, 3]));
      else if (kind === "residual") x = net.add(x, net.conv(x, c, { k: 3, p: 1, bias }));
      else {
        const group = kind === "depthwise" ? c : kind === "grouped" && c % 2 === 0 ? 2 : 1;
        const o = kind === "depthwise" ? c : pick([2, 6, 8, 16, 20, 50]);
        const d = pick([1, 1, 1, 2]);
        const reach = d * (k - 1) + 1;
        const p = reach > Math.min(h, w) ? d * (k - 1) : pick([0, 1, k - 1].filter((size) => size < k));
        fanIn = (c / group) * k * k;
        x = net.conv(x, o, { k, s: pick([1, 1, 2, 3]), p, d, group, bias });
      }
      // One at most: gradients behind a chain of them, or of a channel with few weights, are sums that cancel in any realisation.
      const [n, , height, width] = net.dims(x) as [number, number, number, number];
      const normal: boolean = !normalised && n * height * width > 30 && fanIn >= 9 && pick([true, false]);
      if (normal) x = net.batchNorm(x);
      normalised ||= normal;
      if (pick([true, true, false])) x = net.relu(x);
    }
    if (pick([true, false])) x = net.globalAveragePool(x);
    const graph = net.finish(net.dense(net.flatten(x), 7));
    await agrees(graph, seed).catch((error) => {
      throw new Error(`net ${seed}: ${graph.nodes.map((n) => n.op).join(" ")}: ${error.message}`, { cause: error });
    });
  }
});
