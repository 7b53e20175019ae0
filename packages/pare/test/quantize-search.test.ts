/** The search among integers on planted networks: layers in front that lose together and not alone, what is told of it, and the time it may take. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Reference } from "../dist/compare/reference.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { node } from "../dist/graph/emit.js";
import { type Draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { sizeOf } from "../dist/graph/tensor.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { assumedOf, carriedStates } from "../dist/quantize/carried-states.js";
import { Patience } from "../dist/quantize/patience.js";
import { db, integerChoices, type Searched, searchIntegers } from "../dist/quantize/search.js";
import { type Choices, emptyMemory, stored, Workbench } from "../dist/quantize/workbench.js";
import { network, samples, scaled } from "./support/planted.js";

async function benchOf(graph: Graph): Promise<Workbench> {
  const [candidates, data] = [eligibleNodes(graph, "ort-node"), samples(1000)];
  const reference = await Reference.of(graph, data, ortNode, 12);
  return new Workbench(graph, candidates, "ort-node", ortNode, data, reference, true, emptyMemory(), "", undefined);
}

/** What a search without other forms ends with, and every best that it told. */
async function search(bench: Workbench): Promise<{ found: Searched; told: { what: string; at: number }[] }> {
  const told: { what: string; at: number }[] = [];
  const hear = ({ best }: Searched, what: string) => void told.push({ what, at: db(best) });
  return { found: await searchIntegers(bench, [], new Patience(60), hear), told };
}
const freed = (choices: Choices): string[] =>
  ["a", "b", "c", "d", "e", "g", "f"].filter((key) => choices.get(key)!.format !== "int8");

/** What `next` read of a layer is small beside one channel that they ignore: while either side works on integers it is rounded away. */
function drown(graph: Draft, layer: string, next: readonly string[]): void {
  const inner = sizeOf(graph.initializers.get(`${layer}.w`)!.dims.slice(1));
  scaled(graph, `${layer}.w`, (i) => (Math.floor(i / inner) === 3 ? 1000 : 1));
  scaled(graph, `${layer}.b`, (i) => (i === 3 ? 1000 : 1));
  for (const reader of next) scaled(graph, `${reader}.w`, (i) => (Math.floor(i / 9) % 8 === 3 ? 0 : 1));
}

test("layers in front that lose together, and not alone, keep float arithmetic together", async (t) => {
  const graph = network(1);
  drown(graph, "a", ["b"]);
  const bench = await benchOf(graph);
  const { found, told } = await search(bench);
  const { choices } = found.best.attempt;
  t.diagnostic(`${told.map((b) => `${b.what} ${b.at.toFixed(1)} dB`).join(", ")}; in float: ${freed(choices)}`);
  for (const key of ["a", "b"]) assert.match(choices.get(key)!.reason, /with the first \d layers on integers/);
  assert.deepEqual(freed(choices), ["a", "b"], "the next two gain less than their multiplications are worth");

  const integers = await bench.judge({ choices: integerChoices(bench.candidates, "all"), ranges: "min-max" });
  for (const key of ["a", "b"]) {
    const candidate = bench.candidates.find((c) => c.key === key)!;
    const other = new Map(integers.attempt.choices).set(key, stored(candidate, ""));
    const alone = await bench.judge({ ...integers.attempt, choices: other });
    t.diagnostic(`"${key}" alone in float: ${db(alone).toFixed(1)} dB`);
    assert.ok(db(alone) < db(integers) + 1, `"${key}" alone gains`);
  }
  assert.ok(db(found.best) > db(integers) + 20, `${db(integers)} to ${db(found.best)} dB`);
  const fronts = told.filter((b) => b.what === "layers in float");
  for (const [i, { at }] of fronts.entries()) assert.ok(at > (fronts[i - 1]?.at ?? db(integers)), "each is better");
});

test("layers in float are told of only where some are", async () => {
  // As above, but behind the fifth layer: no front of up to four layers mends that, and none of the layers alone.
  const graph = network(1);
  drown(graph, "e", ["g", "f"]);
  const bench = await benchOf(graph);
  const { found, told } = await search(bench);
  assert.ok(db(found.best) < 10, `${db(found.best)} dB: layers in float were tried`);
  assert.deepEqual([freed(found.best.attempt.choices), told.filter((b) => b.what === "layers in float")], [[], []]);
});

test("what comes after the last product stays in float", () => {
  const graph = network(1);
  graph.nodes.splice(-1, 1, node("Softmax", ["flat"], ["y"], { axis: 1 }));
  const candidates = eligibleNodes(graph, "ort-node");
  const choices = integerChoices(candidates, "all");
  for (const key of ["a", "joined", "gate", "gated", "f"]) assert.equal(choices.get(key)?.format, "int8", key);
  for (const key of ["pooled", "flat", "y"]) assert.equal(choices.has(key), false, key);
  const last = candidates.filter((c) => c.last).map((c) => c.key);
  assert.deepEqual(last, ["f.relu", "pooled", "flat", "y"]);
  // Before a product the same mean is worth integers.
  assert.equal(integerChoices(eligibleNodes(network(1), "ort-node"), "all").get("pooled")?.format, "int8");
});

test("patience that was spent is 1, and so is none", () => {
  const none = new Patience(0);
  assert.deepEqual([none.spent, none.over, none.samples(32, 1)], [1, true, 4]);
  const past = new Patience(1e-9);
  while (!past.over);
  assert.equal(past.spent, 1);
  const long = new Patience(1e6);
  assert.ok(long.spent >= 0 && long.spent < 1e-3 && !long.over);
});

test("states that runs hand on are told from pictures that become pictures", () => {
  const graph = (inputs: readonly [string, readonly number[]][], outputs: readonly [string, readonly number[]][]) => {
    const d = emptyGraph("g", 17);
    const values = (list: typeof inputs) => list.map(([name, shape]) => ({ name, type: "float32" as const, shape }));
    d.inputs.push(...values(inputs));
    d.outputs.push(...values(outputs));
    return d;
  };
  const recurrent = graph(
    [
      ["x", [1, 257]],
      ["h", [2, -1, 128]],
      ["c", [2, 1, 128]],
    ],
    [
      ["mask", [1, 257]],
      ["hn", [2, 1, 128]],
      ["cn", [2, 1, 128]],
    ],
  );
  const states = carriedStates(recurrent);
  assert.deepEqual(
    states.map((s) => [s.input, s.output]),
    [
      ["h", "hn"],
      ["c", "cn"],
    ],
  );
  assert.match(assumedOf(states)!, /"hn" to "h", "cn" to "c".*whole sequences/);
  assert.equal(assumedOf(carriedStates(graph([["x", [1, 3, 8, 8]]], [["y", [1, 3, 8, 8]]]))), null);
  assert.equal(assumedOf(carriedStates(network(1))), null);
});
