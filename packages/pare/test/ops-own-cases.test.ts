/** Forms that the ONNX project's tests leave out: old opsets, odd windows, groups, withdrawn operators. Shapes and gradients as onnxruntime has them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ortNode } from "../dist/engine/ort-node.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { siteOf } from "../dist/ops/site.js";
import { raiseOpset } from "../dist/passes/raise-opset.js";
import { arrayOf, worstDifference } from "./support/compare.js";
import { checkGradient } from "./support/gradient-check.js";
import { type Own, ownCases, ownPlace, ownTitle } from "./support/own-cases.js";
import { typeOf } from "./support/single-operator.js";

/** What onnxruntime makes of the node as it is: its own opset, everything fed. */
async function run(p: Own, raise: boolean) {
  const graph = emptyGraph("own", p.opset);
  // onnxruntime keeps the withdrawn operators for files of their time.
  graph.irVersion = p.opset > 21 ? 11 : p.opset < 9 ? 3 : 8;
  graph.nodes.push(p.node);
  // Scales must be known to be rewritten.
  const known = /^(Resize|Upsample)$/.test(p.node.op);
  p.inputs.forEach((t, i) => {
    if (t && known && i > 0) graph.initializers.set(`x${i}`, t);
    else if (t) graph.inputs.push({ name: `x${i}`, type: t.type, shape: t.dims });
  });
  graph.outputs.push({ name: "y0", type: "float32", shape: null });
  const session = await ortNode.load(raise ? raiseOpset(graph) : graph, { optimize: "none" });
  const feeds = Object.fromEntries(p.inputs.flatMap((t, i) => (t && !(known && i > 0) ? [[`x${i}`, arrayOf(t)]] : [])));
  const { y0 } = await session.run(feeds);
  await session.release();
  return y0!;
}

for (const own of ownCases) {
  const p = ownPlace(...own);
  test(ownTitle(p), async () => {
    const y = await run(p, false);
    const site = siteOf(p.record, {
      node: p.node,
      opset: p.opset,
      x: p.inputs.map(typeOf),
      value: (i) => p.inputs[i] ?? null,
    });
    assert.deepEqual(p.record.shape(site)[0], { type: y.type, shape: [...y.dims] });
    const difference = worstDifference(await run(p, true), y);
    assert.ok(difference < 1e-5, `raised, it is off by ${difference}`);
    const outcome = await checkGradient(ortNode, p);
    assert.ok(outcome.right, `gradient off by ${outcome.error} (${outcome.forward}, ${outcome.backward})`);
  });
}
