/** Each invariant of a Graph, broken once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../dist/graph/check.js";
import { node } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import type { Draft, Graph, Subgraph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { branching, calling, looping } from "./support/hand-made.js";
import { ramp, sumOf } from "./support/small-graph.js";

const valid = (): Draft => sumOf({ w: ramp(4) });
/** A valid graph with one thing changed must be refused with that message. */
function broken(change: (g: Draft) => unknown, message: RegExp, graph = valid()): void {
  change(graph);
  assert.throws(
    () => check(graph),
    (error) => {
      assert.ok(error instanceof PareError);
      assert.match(error.message, message);
      return true;
    },
  );
}
const then = (g: Graph): Subgraph => {
  const a = g.nodes.at(-1)!.attributes.then_branch!;
  assert.equal(a.kind, "graph");
  return a.kind === "graph" ? a.value : assert.fail();
};
const withThen = (g: Draft, content: Partial<Subgraph>): void => {
  const last = g.nodes.at(-1)!;
  const then_branch = { kind: "graph" as const, value: { ...then(g), ...content } };
  g.nodes[g.nodes.length - 1] = { ...last, attributes: { ...last.attributes, then_branch } };
};

test("valid graphs pass", () => {
  for (const graph of [valid(), branching(), looping(), calling()]) check(graph);
  const shadowing = branching() as Draft;
  withThen(shadowing, { nodes: [node("Identity", ["x"], ["zero"]), node("Identity", ["zero"], ["Add_y"])] });
  check(shadowing);
});

test("versions", () => {
  broken((g) => (g.irVersion = 0), /IR version 0/);
  broken((g) => g.opsets.set("", 0), /imports version 0 of domain ""/);
  broken((g) => g.opsets.set("", 1.5), /imports version 1.5/);
  broken((g) => g.opsets.delete(""), /node 0 Add "after w" is of domain "", for which the model imports no version/);
  broken((g) => g.nodes.splice(0, 0, node("Add", ["x", "x"], ["z"], {}, "other")), /domain "other"/);
});

test("names are given once", () => {
  broken((g) => g.nodes.push(node("Relu", ["x"], ["y"])), /node 2 Relu "y" computes "y", which is there already/);
  broken((g) => g.nodes.push(node("Relu", ["y"], ["x"])), /computes "x", which is there already/);
  broken((g) => g.nodes.push(node("Relu", ["y"], ["w"])), /computes "w", which is there already/);
  broken((g) => g.inputs.push(g.inputs[0]!), /two of the graph's inputs are named "x"/);
  broken((g) => g.inputs.push({ ...g.inputs[0]!, name: "" }), /input has no name/);
  broken((g) => g.initializers.set("", ramp(1)), /initialiser has no name/);
});

test("what is read is there before", () => {
  broken(
    (g) => g.nodes.push(node("Relu", ["nowhere"], ["z"])),
    /node 2 Relu "z" reads "nowhere", which nothing computes/,
  );
  broken((g) => g.nodes.reverse(), /the nodes are not sorted/);
  broken((g) => (g.nodes[0] = node("Add", ["y", "w"], ["after w"])), /2 nodes form a cycle: Add .* needs Identity/);
  broken((g) => (g.outputs[0] = { ...g.outputs[0]!, name: "gone" }), /output "gone" is computed by nothing/);
  broken(
    (g) => withThen(g, { nodes: [] }),
    /node 3 If "y", body "Add": output "Add_y" is computed by nothing/,
    branching() as Draft,
  );
  broken(
    (g) => withThen(g, { nodes: [node("Add", ["x", "late"], ["Add_y"])] }),
    /reads "late", which nothing computes/,
    branching() as Draft,
  );
  broken((g) => g.nodes.push(node("", ["x"], ["z"])), /names no operator/);
});

test("tensors have the bytes of their type and shape", () => {
  const w = (content: object) => (g: Draft) => g.initializers.set("w", { ...ramp(4), ...content });
  broken(w({ dims: [5] }), /initialiser "w": float32 \[5\] needs 20 bytes, it has 16/);
  broken(w({ type: "int64" }), /int64 \[4\] needs 32 bytes, it has 16/);
  broken(w({ dims: [-4] }), /shape \[-4\]; lengths are integers from 0/);
  broken(w({ dims: [1.5] }), /shape \[1.5\]/);
  broken(w({ type: "string", strings: [] }), /string \[4\] needs 4 strings, it has 0/);
  const constant = node("Constant", [], ["c"], {
    value: { kind: "tensor", value: { ...floats([1], [1]), dims: [2] } },
  });
  broken(
    (g) => g.nodes.push(constant),
    /node 2 Constant "c", attribute "value": float32 \[2\] needs 8 bytes, it has 4/,
  );
  broken((g) => (g.inputs[0] = { ...g.inputs[0]!, shape: [-1] }), /"x" has shape \[-1\]/);
});

test("references to a function's attributes stand in functions", () => {
  const ref = { kind: "ref" as const, value: "alpha", proto: {} };
  broken(
    (g) => g.nodes.push(node("Elu", ["x"], ["z"], { alpha: ref })),
    /refers to an attribute "alpha" that no function around it has/,
  );
});

test("one error lists everything, up to twenty", () => {
  const bad = (count: number) => (g: Draft) => {
    for (let i = 0; i < count; i++) g.nodes.push(node("Relu", [`missing${i}`], [`z${i}`]));
  };
  broken(bad(2), /^the model is not valid:\n {2}- node 2 .*"missing0".*\n {2}- node 3 .*"missing1"/);
  broken(bad(25), /and 5 more$/);
});
