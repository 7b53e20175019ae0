/** Models and options that pruning cannot serve: what is said of them; and models that only look like these. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseQuantized } from "../dist/analyze/refuse-quantized.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { type Draft, draft, emptyGraph, type Graph, type Shape } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { NetworkBuilder } from "../dist/methods/architecture/builder.js";
import { targetNote } from "../dist/methods/method.js";
import { type PruneOptions, prune } from "../dist/prune.js";

const structured = (graph: Graph, options: object = {}, more: Partial<PruneOptions> = {}) =>
  prune(graph, { method: "structured", options: { allocation: "global", roundTo: 4, ...options }, ...more });

/** Two convolutions of these widths and a dense layer over all of the image, or over its means. */
function net(a: number, b: number, pooled = false): Graph {
  const n = new NetworkBuilder("net", 1);
  const x = n.relu(n.conv(n.relu(n.conv(n.input("x", [3, 8, 8]), "c1", a, 3), "r1"), "c2", b, 3), "r2");
  return n.finish(n.dense(n.flatten(pooled ? n.globalAveragePool(x, "mean") : x), "fc", 4), "y");
}
function reshaped(graph: Graph, shape: Shape | null): Graph {
  const d = draft(graph);
  d.values = new Map();
  d.inputs = [{ ...d.inputs[0]!, shape }];
  return d;
}
/** Ids are read from a table of bytes before they pick rows; the causal mask is bytes too. */
function withTables(): Draft {
  const d = emptyGraph("tables", 17);
  const e = new Emitter(d);
  d.inputs.push({ name: "ids", type: "int64", shape: [2] });
  const remap = e.constant({ type: "int8", dims: [4, 1], bytes: Uint8Array.of(3, 2, 1, 0) });
  const id = e.op("Squeeze", [e.cast(e.op("Gather", [remap, "ids"]), "int64"), e.ints([1])]);
  const rows = e.constant(
    floats(
      Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
      [4, 8],
    ),
  );
  const mask = e.constant({ type: "uint8", dims: [1, 8], bytes: Uint8Array.of(1, 1, 0, 1, 1, 1, 1, 1) });
  const x = e.op("Where", [e.cast(mask, "bool"), e.op("Gather", [rows, id]), e.scalar(0)]);
  const weight = (dims: number[]) =>
    e.constant(
      floats(
        Float32Array.from({ length: 128 }, (_, i) => Math.cos(i)),
        dims,
      ),
    );
  const hidden = e.op("Relu", [e.op("MatMul", [x, weight([8, 16])])]);
  d.outputs.push({ name: e.op("MatMul", [hidden, weight([16, 8])]), type: "float32", shape: null });
  return d;
}

test("tables of integers are no quantized weights; integers that become a weight by constants alone are", async () => {
  const { facts } = await structured(withTables());
  assert.ok(facts.parameters[1] < facts.parameters[0]);
  const codes = (by: (e: Emitter, codes: string) => string): Graph => {
    const d = emptyGraph("codes", 21);
    const e = new Emitter(d);
    d.inputs.push({ name: "x", type: "float32", shape: [1, 2] });
    const stored = e.constant({ type: "uint8", dims: [2, 3], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    d.outputs.push({ name: by(e, stored), type: "float32", shape: null });
    return d;
  };
  const scaled = codes((e, c) => e.op("MatMul", ["x", e.op("Mul", [e.cast(c, "float32"), e.scalar(0.1)])]));
  assert.throws(() => refuseQuantized(scaled, "prune"), /quantized already \(Cast /);
  const unknown = codes((e, c) => e.op("Fused", ["x", c], {}, "my.kernels"));
  assert.throws(() => refuseQuantized(unknown, "prune"), /quantized already \(Fused /);
  const mixed = draft(withTables());
  mixed.nodes.push(node("DynamicQuantizeLinear", ["ids"], ["a", "b", "c"], {}, "", "q"));
  assert.throws(() => refuseQuantized(mixed, "prune"), /quantized already \(DynamicQuantizeLinear "q"\)/);
});

test("open channels: guessed where they can be, else the input is named and what settles it", async () => {
  const { facts } = await structured(reshaped(net(16, 16, true), ["n", "c", "h", "w"]));
  assert.ok(facts.macs[1] <= 0.5 * facts.macs[0] && facts.macs[0] > 0);
  for (const [shape, said] of [
    [["n", "c", "h", "w"], /input "x": it leaves the dims \[n, c, h, w\] open.*pare simplify --input x=/],
    [null, /input "x": it leaves its rank open/],
  ] as const)
    await assert.rejects(structured(reshaped(net(16, 16), shape)), said);
});

test("single channels stay, and are said to where nothing else can go; beside them the others are pruned", async () => {
  await assert.rejects(
    structured(net(1, 1)),
    /no channels of this model can be removed:[\s\S]*c1: it has a single channel, which stays/,
  );
  const { facts } = await structured(net(1, 16));
  assert.deepEqual(
    facts.widths.map((w) => [w.before, w.after]),
    [
      [1, 1],
      [16, facts.widths[1]!.after],
      [4, 4],
    ],
  );
  assert.ok(facts.widths[1]!.after < 16);
});

test("fine-tuning without data is refused; weights in half precision say that; the rounding in force is said", async () => {
  await assert.rejects(
    structured(net(16, 16), { train: { epochs: 1 } }),
    /fine-tuning needs data: give some, or 0 epochs/,
  );
  const half = draft(net(16, 16));
  half.inputs = [{ ...half.inputs[0]!, type: "float16" }];
  half.outputs = [{ ...half.outputs[0]!, type: "float16" }];
  for (const [name, t] of half.initializers)
    half.initializers.set(name, { type: "float16", dims: t.dims, bytes: new Uint8Array(t.bytes.length / 2) });
  half.values = new Map();
  await assert.rejects(structured(half), /their weights are float16; only float32 weights are pruned/);
  const rounding = async (roundTo: number | "auto") =>
    (await structured(net(16, 16), { roundTo })).notes.find((n) => n.node === targetNote)?.why;
  assert.match((await rounding(4))!, /channel counts are multiples of 4 \(given\)/);
  assert.match((await rounding("auto"))!, /multiples of (2|4|8|16) \(measured on this machine\)/);
});
