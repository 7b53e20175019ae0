/** Limits of loss, bytes and time: kept where they can be, else the nearest is written and said; a search that was stopped asks nothing twice. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { schemas } from "../dist/cli/schemas.js";
import { Reference } from "../dist/compare/reference.js";
import { Random } from "../dist/data/random.js";
import type { Samples } from "../dist/data/samples.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { read } from "../dist/graph/file.js";
import { draft, emptyGraph, type Graph } from "../dist/graph/graph.js";
import { floats } from "../dist/graph/tensor.js";
import { eligibleNodes } from "../dist/quantization/eligible.js";
import { accurateEnough, dropOf } from "../dist/quantize/limits.js";
import { emptyMemory, type Memory, Workbench } from "../dist/quantize/workbench.js";
import { quantize } from "../dist/quantize.js";
import { photographSamples } from "./support/int8.js";
import { network } from "./support/planted.js";
import { needsShared, sharedData } from "./support/shared.js";

const bin = fileURLToPath(new URL("../bin/pare.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pare-limits-"));
const at = (name: string): string => join(folder, name);
after(() => rmSync(folder, { recursive: true, force: true }));
const skip = sharedData ? false : needsShared;
const resnet = (): Promise<Graph> => read(`${sharedData}models/resnet20-cifar.onnx`);

before(() => {
  writeFileSync(at("net.onnx"), toBytes(network(1)));
  writeFileSync(
    at("data.mjs"),
    `export function* train() {
  let state = 7;
  const draw = () => ((state = (state * 1103515245 + 12345) % 2147483648) / 1073741824) - 1;
  for (let i = 0; i < 12; i++) yield { x: { data: Float32Array.from({ length: 192 }, draw), dims: [1, 3, 8, 8] } };
}
export const test = train;`,
  );
});
function pare(...args: string[]) {
  const run = spawnSync(process.execPath, [bin, "quantize", "net.onnx", "--json", ...args], {
    encoding: "utf8",
    cwd: folder,
    timeout: 120_000,
  });
  return { code: run.status, err: run.stderr, facts: run.stdout ? JSON.parse(run.stdout) : null };
}

test("limits that hold leave 0, those that cannot be met 1, with the nearest written and a note", () => {
  const held = pare("--data", "data.mjs", "--max-drop", "50%", "-o", "held.onnx");
  assert.equal(held.code, 0, held.err);
  schemas.quantize!.parse(held.facts);
  const [drop] = held.facts.limits;
  assert.deepEqual([drop.name, drop.allowed, drop.held], ["max-drop", 0.5, true]);
  assert.ok(Math.abs(drop.reached - (1 - held.facts.agreement)) < 1e-12);

  const missed = pare("--data", "data.mjs", "--max-bytes", "100", "--max-latency", "0.0001", "-o", "missed.onnx");
  assert.equal(missed.code, 1, missed.err);
  assert.match(missed.err, /max-bytes 100 cannot be met: the nearest that was found has \d+/);
  assert.match(missed.err, /max-latency 0.0001 cannot be met/);
  assert.deepEqual(
    missed.facts.limits.map((l: { held: boolean }) => l.held),
    [false, false],
  );
  assert.equal(statSync(at("missed.onnx")).size, missed.facts.sizeBytes[1]);

  for (const limit of ["--max-drop", "--max-latency"]) {
    const blind = pare(limit, "0.5", "-o", "blind.onnx");
    assert.equal(blind.code, 2, blind.err);
    assert.match(blind.err, /measured on samples: give --data/);
  }
});

test("a model without anything to quantize is refused with the reason", async () => {
  const strings = emptyGraph("strings", 21);
  strings.inputs.push({ name: "x", type: "string", shape: [1] });
  strings.nodes.push(node("Identity", ["x"], ["y"]));
  strings.outputs.push({ name: "y", type: "string", shape: [1] });
  await assert.rejects(quantize(strings, { engine: ortNode }), /can be quantized:\n {2}Identity "y": it moves/);
});

test("layers go to four bits until the file is small enough, and no more of them than that", { skip }, async () => {
  const graph = await resnet();
  const samples = photographSamples(graph.inputs[0]!.name, 16);
  const maxBytes = 230_000;
  const { facts, graph: small } = await quantize(graph, { samples, format: "int8", engine: ortNode, maxBytes });
  assert.ok(facts.limits[0]!.held, JSON.stringify(facts.limits));
  assert.equal(toBytes(small).length, facts.sizeBytes[1]);
  const formats = facts.layers.map((l) => l.format);
  assert.ok(formats.includes("weights4") && formats.includes("int8"), formats.join());
  // The largest layer in eight bits again would not fit.
  assert.ok(facts.sizeBytes[1] > maxBytes - 20_000, `${facts.sizeBytes[1]}`);
});

/** y [1 64] of x [1 256] > 0: class 1 is ahead of class 0 by less than any format tells apart. */
function tied(): Graph {
  const graph = emptyGraph("tied", 17);
  graph.inputs.push({ name: "x", type: "float32", shape: [1, 256] });
  graph.outputs.push({ name: "y", type: "float32", shape: [1, 64] });
  const w = Float32Array.from({ length: 256 * 64 }, (_, i) => {
    const [k, o] = [i >> 6, i & 63];
    return o > 1 ? -0.5 - 0.4 * Math.sin(i) : 0.5 + 0.4 * Math.sin(k) + (o === 1 && k === 7 ? 1e-5 : 0);
  });
  graph.initializers.set("w", floats(w, [256, 64]));
  graph.nodes.push(node("MatMul", ["x", "w"], ["y"]));
  return graph;
}

test("where no format keeps max-drop, nothing is written; where no classes are named, it cannot be asked for", () => {
  writeFileSync(at("tied.onnx"), toBytes(tied()));
  writeFileSync(
    at("tied.mjs"),
    `export function* train() {
  for (let i = 0; i < 8; i++) yield { x: { data: Float32Array.from({ length: 256 }, (_, k) => 1.5 + Math.sin(i + k)), dims: [1, 256] } };
}
export const test = train;`,
  );
  const run = (...args: string[]) =>
    spawnSync(
      process.execPath,
      [bin, "quantize", "tied.onnx", "--data", "tied.mjs", "-o", "tied.small.onnx", ...args],
      {
        encoding: "utf8",
        cwd: folder,
        timeout: 120_000,
      },
    );
  const refused = run("--max-drop", "10%");
  assert.equal(refused.status, 1, refused.stderr);
  assert.match(
    refused.stderr,
    /max-drop 0.1 cannot be met: the nearest that was found has [\d.]+: nothing was written/,
  );
  assert.ok(!existsSync(at("tied.small.onnx")));
  assert.ok(!existsSync(at("tied.small.onnx.search.json")), "a search that ends in an error leaves no state");
  assert.equal(refused.stdout, "");
  const forced = run("--max-drop", "10%", "--force", "--json");
  assert.equal(forced.status, 1, forced.stderr);
  assert.ok(JSON.parse(forced.stdout).limits[0].reached > 0.1);
  assert.ok(existsSync(at("tied.small.onnx")));

  const image = draft(network(1));
  image.outputs = [{ name: image.nodes[0]!.outputs[0]!, type: "float32", shape: [1, 8, 8, 8] }];
  writeFileSync(at("image.onnx"), toBytes({ ...image, nodes: image.nodes.slice(0, 1) }));
  const classless = spawnSync(
    process.execPath,
    [bin, "quantize", "image.onnx", "--data", "data.mjs", "--max-drop", "1%", "-o", "image.small.onnx"],
    { encoding: "utf8", cwd: folder, timeout: 120_000 },
  );
  assert.equal(classless.status, 2, classless.stderr);
  assert.match(classless.stderr, /no output of the model holds scores of classes/);
  assert.ok(!existsSync(at("image.small.onnx")));
});

/** Inputs between two that a network answers differently, near to where the answer changes. */
async function undecided(graph: Graph, count: number): Promise<Samples> {
  const random = new Random(5);
  const draw = (): Float32Array => {
    const level = [0, 1, 2].map(() => 8 * random.uniform() - 4);
    return Float32Array.from({ length: 192 }, (_, i) => level[i >> 6]! + random.uniform() - 0.5);
  };
  const feed = (data: Float32Array) => ({ x: { type: "float32" as const, dims: [1, 3, 8, 8], data } });
  const session = await ortNode.load(graph);
  const answer = async (data: Float32Array): Promise<number> => {
    const scores = [...((await session.run(feed(data))).y!.data as Float32Array)];
    return scores.indexOf(Math.max(...scores));
  };
  const found: ReturnType<typeof feed>[] = [];
  while (found.length < count) {
    const [p, q] = [draw(), draw()];
    const first = await answer(p);
    if ((await answer(q)) === first) continue;
    const between = (t: number) => p.map((v, i) => (1 - t) * v + t * q[i]!);
    let [low, high] = [0, 1];
    for (let step = 0; step < 3; step++) {
      const middle = (low + high) / 2;
      if ((await answer(between(middle))) === first) low = middle;
      else high = middle;
    }
    found.push(feed(between(low)));
  }
  await session.release();
  return { name: "undecided", length: count, label: () => null, feeds: (i) => found[i]!, batch: () => null };
}

test("layers leave few bits until no more is lost than allowed", async (t) => {
  const graph = network(1);
  const samples = await undecided(graph, 32);
  const reference = await Reference.of(graph, samples, ortNode, 32);
  const candidates = eligibleNodes(graph, "ort-node");
  const bench = new Workbench(
    graph,
    candidates,
    "ort-node",
    ortNode,
    samples,
    reference,
    false,
    emptyMemory(),
    "",
    undefined,
  );
  const few = candidates.filter((c) => c.formats.includes("weights4"));
  const choices = new Map(few.map((c) => [c.key, { format: "weights4" as const, reason: "" }]));
  const best = await bench.judge({ choices, ranges: "min-max" });
  const before = dropOf(best)!;
  const after = await accurateEnough({ bench, best }, { maxDrop: 0.75 * before }, () => {});
  const left = [...after.best.attempt.choices.values()].filter((c) => c.format === "weights4").length;
  t.diagnostic(`${before} to ${dropOf(after.best)} with ${left} of ${few.length} layers in four bits`);
  assert.ok(before > 0 && dropOf(after.best)! <= 0.75 * before);
  assert.ok(left < few.length);
  // Whatever is allowed is kept, and the more it is the fewer layers leave and the smaller is the file.
  let smaller = { left: -1, bytes: Number.POSITIVE_INFINITY };
  for (const share of [0, 0.25, 0.5, 0.75, 0.9, 1]) {
    const { best: kept } = await accurateEnough({ bench, best }, { maxDrop: share * before }, () => {});
    assert.ok(dropOf(kept)! <= share * before, `${share}: ${dropOf(kept)}`);
    const now = [...kept.attempt.choices.values()].filter((c) => c.format === "weights4").length;
    t.diagnostic(`${share}: ${now} in four bits, ${kept.sizeBytes} bytes`);
    assert.ok(now >= smaller.left && kept.sizeBytes <= smaller.bytes, `${share}: ${now}, ${kept.sizeBytes} bytes`);
    smaller = { left: now, bytes: kept.sizeBytes };
  }
  const content = await accurateEnough({ bench, best }, { maxDrop: before }, () => {});
  assert.equal(content.best, best, "nothing leaves where no more is lost than allowed");
  // Nothing is exact enough for less than nothing: what is nearest comes back.
  const nearest = await accurateEnough({ bench, best }, { maxDrop: -1 }, () => {});
  assert.ok(dropOf(nearest.best)! <= before);
});

/** Counts verdicts that were made, and those that were known before. */
class Asked extends Map<string, never> {
  asked = 0;
  again = 0;
  override set(key: string, value: never): this {
    if (this.has(key)) this.again++;
    this.asked++;
    return super.set(key, value);
  }
}

test("a search that was stopped keeps its best, and goes on without asking anything twice", { skip }, async () => {
  const graph = await resnet();
  const samples = photographSamples(graph.inputs[0]!.name, 16);
  const first = new Asked();
  const times: Memory["times"] = new Map();
  const stop = new AbortController();
  let heard = 0;
  const options = { samples, format: "int8", engine: ortNode, maxBytes: 230_000 } as const;
  const log = () => {
    if (++heard === 4) stop.abort();
  };
  const stopped = await quantize(graph, { ...options, memory: { verdicts: first, times }, signal: stop.signal, log });
  assert.ok(stopped.stopped && stopped.facts.quantized > 0);
  assert.ok(first.asked >= 3, `${first.asked}`);

  const memory = new Asked(first);
  [memory.asked, memory.again] = [0, 0];
  const done = await quantize(graph, { ...options, memory: { verdicts: memory, times } });
  assert.ok(!done.stopped && done.facts.limits[0]!.held);
  assert.equal(memory.again, 0);
  assert.equal(memory.asked, memory.size - first.size);
  const third = new Asked(memory);
  third.asked = 0;
  await quantize(graph, { ...options, memory: { verdicts: third, times } });
  assert.equal(third.asked, 0, `${third.asked} verdicts of ${third.size} were asked for again`);
});
