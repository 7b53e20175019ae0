/** Every test of the ONNX project: read -> write -> read is the same graph; where onnxruntime passes the test, it computes the same bits from the file we wrote. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBytes } from "../dist/graph/decode.js";
import { toBytes } from "../dist/graph/encode.js";
import { feeds } from "../dist/graph/graph.js";
import { print } from "../dist/graph/print.js";
import { type Case, conformance } from "./support/conformance.js";
import { ortOutputs, ortTensor } from "./support/ort-outputs.js";
import { assertSame } from "./support/same.js";
import { needsShared, sharedData } from "./support/shared.js";

const skip = sharedData ? false : needsShared;

test("read -> write -> read is the same graph, for every model of the node and pytorch suites", { skip }, () => {
  let count = 0;
  for (const suite of ["node", "pytorch"] as const)
    for (const c of conformance(suite)) {
      const graph = fromBytes(c.model);
      assertSame(fromBytes(toBytes(graph)), graph, c.name);
      assert.match(print(graph), /^graph /);
      count++;
    }
  assert.equal(count, 1802 + 140);
});

test("onnxruntime computes the same bits from the written file, for every test that it passes", { skip }, async () => {
  let count = 0;
  for (const c of conformance()) {
    if (c.status !== "pass") continue;
    await sameBits(c);
    count++;
  }
  assert.equal(count, 1453);
});

async function sameBits(c: Case): Promise<void> {
  const graph = fromBytes(c.model);
  // The test's files are numbered after the model's inputs; what has no file is an optional input that is not fed.
  const given = feeds(graph).flatMap((v, i) => (c.inputs[i] ? [[v.name, ortTensor(c.inputs[i])] as const] : []));
  const inputs = Object.fromEntries(given);
  const expected = await ortOutputs(c.model, inputs);
  assertSame(await ortOutputs(toBytes(graph), inputs), expected, c.name);
}
