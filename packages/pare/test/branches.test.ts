/** Residual branches that go whole: found where they are, equal to the branch times zero, and taken by a pruning that measures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { branchesOf } from "../dist/analyze/branches.js";
import { couple } from "../dist/analyze/couple.js";
import { groupsOf } from "../dist/analyze/groups.js";
import { inspect } from "../dist/analyze/inspect.js";
import { read } from "../dist/graph/file.js";
import { draft, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { removeChannels } from "../dist/passes/remove-channels.js";
import { prune } from "../dist/prune.js";
import { blobs } from "./support/blobs.js";
import { run } from "./support/cut-proof.js";
import { randomFeeds } from "./support/expose.js";
import { sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";
import { far, fillZeros } from "./support/zeros.js";

/** The graph with each of these terms of these sums times zero. */
function silenced(graph: Graph, branches: readonly { readonly sum: string; readonly rest: string }[]): Graph {
  const g = draft(graph);
  g.initializers.set("nothing", floats(Float32Array.of(0), []));
  g.nodes = graph.nodes.flatMap((n) => {
    const b = branches.find((one) => one.sum === n.outputs[0]);
    if (!b) return [n];
    const side = n.inputs[0] === b.rest ? 1 : 0;
    const quiet = `${b.sum}.quiet`;
    const mul = {
      ...n,
      name: quiet,
      op: "Mul",
      attributes: {},
      inputs: [n.inputs[side]!, "nothing"],
      outputs: [quiet],
    };
    return [mul, { ...n, inputs: n.inputs.with(side, quiet) }];
  });
  return g;
}
test("every branch of every topology: without its channels the graph is the one whose branch is times zero", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  let count = 0;
  for (const m of sharedModels((m) => m.path.includes("topologies") || m.name === "resnet20-cifar")) {
    const graph = fillZeros(await read(m.path));
    const coupling = couple(graph, { inputs: m.dims });
    const branches = branchesOf(
      coupling,
      groupsOf(coupling).filter((g) => !g.blocked),
    );
    if (branches.length === 0) continue;
    count += branches.length;
    const feeds = randomFeeds(graph, { ...coupling.inputs, ...m.dims });
    const whole = await run(graph, feeds);
    for (const some of [branches, branches.slice(0, 1)]) {
      const removed = new Set(some.flatMap((b) => b.groups.flatMap((g) => g.channels)));
      const bare = removeChannels(coupling, branches, removed);
      const answers = await run(bare, feeds);
      const error = far(await run(silenced(graph, some), feeds), answers);
      assert.ok(error < 1e-4, `${m.name}: ${error}`);
      assert.ok(far(whole, answers) > 1e-3, `${m.name}: the branches did nothing`);
      assert.ok(bare.nodes.length < graph.nodes.length, m.name);
    }
  }
  assert.ok(count >= 9, `${count} branches`);
});

/** A stem and three residual blocks of two convolutions. */
function blocks(): Graph {
  const b = new NetworkBuilder("blocks", 3);
  let x = b.relu(b.conv(b.input("x", [3, 8, 8]), "stem", 8, 3, { pad: 1 }), "relu");
  for (let i = 0; i < 3; i++) {
    const inner = b.relu(b.conv(x, `in${i}`, 8, 3, { pad: 1 }), `mid${i}`);
    x = b.relu(b.add(b.conv(inner, `out${i}`, 8, 3, { pad: 1 }), x, `sum${i}`), `relu${i}`);
  }
  return b.finish(b.dense(b.flatten(b.globalAveragePool(x, "pool")), "fc", 4), "y");
}

test("a branch that adds nothing goes whole, two targets are met at once, and the answers stay", async () => {
  const whole = blocks();
  const coupling = couple(whole);
  const branches = branchesOf(
    coupling,
    groupsOf(coupling).filter((g) => !g.blocked),
  );
  assert.equal(branches.length, 3);
  const graph = silenced(whole, [branches[1]!]);
  const [data, before] = [blobs(16, [3, 8, 8], 3), inspect(graph)];
  const pruned = async (o: object) => {
    const options = { samples: 16, roundTo: 4, train: { epochs: 0 }, ...o };
    const { graph: after, notes } = await prune(graph, { method: "structured", options, data, seed: 1 });
    const out = notes.filter((n) => n.why.includes("left out with their branch")).map((n) => n.node);
    return { after, out };
  };
  const half = await pruned({ target: { macs: 0.72, bytes: 0.8 } });
  assert.deepEqual(half.out, ["in1"]);
  const facts = inspect(half.after);
  assert.ok(facts.macs <= 0.72 * before.macs && facts.sizeBytes <= 0.8 * before.sizeBytes);
  // The fit of what comes behind finds it right as it is.
  const feeds = randomFeeds(graph);
  const error = far(await run(graph, feeds), await run(half.after, feeds));
  assert.ok(error < 1e-4, `${error}`);
  assert.deepEqual((await pruned({ target: { macs: 0.9 }, exclude: ["in1"] })).out, []);
  await assert.rejects(pruned({ target: {} }), /name at least one of macs, bytes, latency/);
});
