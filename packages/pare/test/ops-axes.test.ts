/** The axes facet, operator by operator: half of every free group of channels is cut around one node, and onnxruntime computes what it computes with them set to zero. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel } from "../dist/analyze/axes.js";
import { type Coupling, couple } from "../dist/analyze/couple.js";
import { cut, masked } from "../dist/analyze/cut.js";
import { groupsOf } from "../dist/analyze/groups.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats, sizeOf } from "../dist/graph/tensor.js";
import { siteOf } from "../dist/ops/site.js";
import { isVariable, randomSource } from "./support/gradient-check.js";
import { type Own, ownCases, ownPlace, ownTitle } from "./support/own-cases.js";
import { typeOf } from "./support/single-operator.js";

/** one -> x_i = one C_i -> the node -> sum of c y: every axis of every x ends in constants, so whatever the node leaves free may be cut. */
function sandwich(p: Own): Graph {
  const opset = Math.max(7, p.opset);
  const graph = emptyGraph("sandwich", opset);
  // onnxruntime keeps the withdrawn operators for files of their time.
  const withdrawn = /^(Affine|Crop|ImageScaler|ScaledTanh|ParametricSoftplus)$/.test(p.node.op);
  graph.irVersion = opset > 21 ? 11 : withdrawn ? 3 : 8;
  graph.inputs.push({ name: "one", type: "float32", shape: [] });
  const g = new Emitter(graph, "float32", "around/");
  p.inputs.forEach((t, i) => {
    if (!t) return;
    if (!isVariable(p, i)) graph.initializers.set(`x${i}`, t);
    else graph.nodes.push(node("Mul", ["one", g.constant(t, `C${i}`)], [`x${i}`]));
  });
  graph.nodes.push(p.node);
  const site = siteOf(p.record, { node: p.node, opset, x: p.inputs.map(typeOf), value: (i) => p.inputs[i] ?? null });
  const dims = p.record.shape(site)[0]!.shape as readonly number[];
  const random = randomSource(23);
  graph.initializers.set("c", floats(Float32Array.from({ length: sizeOf(dims) }, random), dims));
  graph.nodes.push(node("Mul", ["y0", "c"], ["weighted"]), node("ReduceSum", ["weighted"], ["sum"], { keepdims: 0 }));
  graph.outputs.push({ name: "sum", type: "float32", shape: [] });
  return graph;
}

async function run(graph: Graph): Promise<number> {
  const session = await ortNode.load(graph, { optimize: "none" });
  const { sum } = await session.run({ one: { type: "float32", dims: [], data: Float32Array.of(1) } });
  await session.release();
  return Number(sum!.data[0]);
}

/** The twin with zeros: everywhere, or where that divides by zero only behind the node. */
async function twin(c: Coupling, removed: ReadonlySet<Channel>): Promise<number> {
  const everywhere = await run(masked(c, removed));
  if (Number.isFinite(everywhere)) return everywhere;
  return run(masked({ ...c, uses: c.uses.filter((u) => u.tensor === "c") }, removed));
}

/** onnxruntime's own shape inference contradicts its kernel there, so no node can follow. */
const disagrees = (p: Own): boolean =>
  /Pool$/.test(p.node.op) && "dilations" in p.node.attributes && "auto_pad" in p.node.attributes;

let free = 0;
for (const own of ownCases) {
  const p = ownPlace(...own);
  if (disagrees(p)) continue;
  test(`axes of ${ownTitle(p)}`, async () => {
    const c = couple(sandwich(p));
    for (const group of groupsOf(c)) {
      if (group.blocked) continue;
      const removed = new Set(group.channels.filter((_, k) => k % 2 === 1));
      const [zeroed, shorter] = [await twin(c, removed), await run(cut(c, removed))];
      const off = Math.abs(zeroed - shorter) / Math.max(1, Math.abs(zeroed));
      assert.ok(off < 1e-5, `${group.name} (${group.size}): ${zeroed} with zeros, ${shorter} cut`);
      free++;
    }
  });
}
test("most operators leave something free", () => {
  assert.ok(free > ownCases.length, `only ${free} free groups in ${ownCases.length} cases`);
});
