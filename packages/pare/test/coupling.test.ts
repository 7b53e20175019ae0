/** Coupled channels on random graphs, a few dozen of the thousands that `npm run test:coupling` tries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { couple } from "../dist/analyze/couple.js";
import { node as makeNode } from "../dist/graph/emit.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { cutEqualsZeroed, nothingSeen } from "./support/coupling-property.js";
import { Net } from "./support/net.js";
import { kinds, plans, randomNet } from "./support/random-net.js";

test("random graphs: what is cut computes what is zeroed", async (t) => {
  const seen = nothingSeen();
  await fc.assert(
    fc.asyncProperty(plans(8), (plan) => cutEqualsZeroed(randomNet(plan), seen, 1e-5, plan.seed)),
    { numRuns: 24, seed: 5 },
  );
  t.diagnostic(`${seen.free} free groups in ${seen.graphs} graphs, largest difference ${seen.worst.toExponential(1)}`);
  assert.ok(seen.withFree > seen.graphs / 2, `only ${seen.withFree} graphs have free groups`);
  assert.ok(seen.changed > 0.9 * seen.compared, `zeroing changed the outputs in ${seen.changed} of ${seen.compared}`);
});

test("every kind of block alone makes a graph that onnxruntime runs, and is cut right", async () => {
  const seen = nothingSeen();
  const start = { kind: "conv", pick: 0, size: 6, how: 1 } as const;
  for (const [i, kind] of kinds.entries())
    await cutEqualsZeroed(
      randomNet({ seed: 7, open: i % 2 > 0, heads: [1], steps: [start, { kind, pick: 3, size: 5, how: i }] }),
      seen,
    );
  assert.ok(seen.free > kinds.length / 2, `${seen.free} free groups`);
});

test("weights in bodies, in functions and of unknown operators are in no group: the coupling says so by node", () => {
  const n = new Net([2, 6]);
  const body = emptyGraph("then", 18);
  body.nodes.push(makeNode("MatMul", ["x", n.weight([6, 6])], ["inner"], {}, "", "inside"));
  body.outputs.push({ name: "inner", type: "float32", shape: null });
  const choice = n.op("If", [n.g.constant({ type: "bool", dims: [], bytes: Uint8Array.of(1) })], {
    then_branch: { kind: "graph", value: body },
    else_branch: { kind: "graph", value: body },
  });
  const own = n.g.op("Mine", [choice, n.weight([6, 4])], {}, "my.domain");
  n.draft.functions = [
    {
      name: "Twice",
      domain: "local",
      overload: "",
      inputs: ["a", "b"],
      outputs: ["c"],
      attributes: [],
      nodes: [makeNode("MatMul", ["a", "b"], ["c"])],
      opsets: new Map([["", 18]]),
    },
  ];
  const graph = n.done(n.g.op("Twice", [own, n.weight([4, 3])], {}, "local"));
  const said = couple(graph).leftAlone.map(({ at, why }) => `${at}: ${why}`);
  assert.equal(said.length, 3);
  assert.match(said[0]!, /^If "If_\d+": control flow.*weights of MatMul "inside", MatMul "inside"$/);
  assert.match(said[1]!, /operator Mine is not known; weights of/);
  assert.match(said[2]!, /what the function Twice does with channels is not followed/);
});
