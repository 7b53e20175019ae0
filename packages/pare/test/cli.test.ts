/** The command line from the outside: exit codes, streams, --json and its published schemas. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";
import { schemaTexts } from "../dist/cli/schemas.js";
import { toBytes } from "../dist/graph/encode.js";
import { network } from "../dist/methods/architecture/networks.js";
import { commandLine } from "./support/run-pare.js";

const { at, pare, json } = commandLine("cli");

before(() => {
  writeFileSync(at("lenet.onnx"), toBytes(network("lenet-300-100", { seed: 1 })));
});

test("help shows every command, and every command's help shows examples", () => {
  const help = pare("--help");
  assert.equal(help.code, 0);
  for (const command of [
    "demo",
    "compress",
    "prune",
    "factorize",
    "train",
    "eval",
    "inspect",
    "pack",
    "unpack",
    "bench",
  ]) {
    assert.match(help.out, new RegExp(`^  ${command} `, "m"));
    const own = pare(command, "--help");
    assert.equal(own.code, 0);
    assert.match(own.out, /Examples:\n {2}pare /);
  }
});

test("usage errors exit 2, input errors exit 1, each with one line that names the culprit and nothing on stdout", () => {
  const cases: [number, RegExp, string[]][] = [
    [2, /unknown command/, ["shrink"]],
    [2, /missing required argument/, ["eval", "--data", "mnist"]],
    [2, /--data/, ["eval", "lenet.onnx"]],
    [2, /--limit.*many/, ["eval", "lenet.onnx", "--data", "mnist", "--limit", "many"]],
    [2, /nonsense/, ["compress", "lenet.onnx", "--data", "mnist", "-o", "out", "--recipe", "nonsense"]],
    [2, /lenet-7/, ["demo", "lenet-7"]],
    [2, /input itself/, ["pack", "lenet.onnx", "-o", "lenet.onnx"]],
    [1, /missing\.onnx: no such file/, ["inspect", "missing.onnx"]],
    [1, /cut\.onnx/, ["inspect", "cut.onnx"]],
    [1, /cut\.pare/, ["unpack", "cut.pare"]],
    [1, /its folder does not exist/, ["train", "lenet-300-100", "--data", "mnist", "-o", "no-such-folder/x.onnx"]],
    [1, /nowhere/, ["eval", "lenet.onnx", "--data", "nowhere.npz"]],
  ];
  writeFileSync(at("cut.onnx"), readFileSync(at("lenet.onnx")).subarray(0, 5000));
  json("pack", "lenet.onnx", "-o", "cut.pare");
  truncateSync(at("cut.pare"), 3000);
  for (const [code, words, args] of cases) {
    const run = pare(...args);
    assert.equal(run.code, code, `pare ${args.join(" ")}: ${run.err}`);
    assert.match(run.err, words);
    assert.equal(run.out, "");
    assert.doesNotMatch(run.err, /\n\s+at /, "no stack trace");
  }
  assert.ok(!existsSync(at("out")), "a refused recipe leaves nothing");
});

test("inspect, pack, unpack and bench agree on a model", () => {
  const facts = json("inspect", "lenet.onnx");
  assert.equal(facts.parameters, 266_610);
  assert.equal(facts.macs, 266_200);
  const packed = json("pack", "lenet.onnx");
  assert.equal(packed.output, "lenet.pare");
  assert.equal(packed.sizeBytes[1], statSync(at("lenet.pare")).size);
  json("unpack", "lenet.pare", "-o", "again.onnx");
  const again = json("inspect", "again.onnx");
  assert.deepEqual([again.parameters, again.nonzero, again.macs], [facts.parameters, facts.nonzero, facts.macs]);
  const timing = json("bench", "lenet.onnx", "lenet.pare", "--runs", "5");
  assert.ok(timing.medianMs.length === 2 && timing.ratio > 0);
});

test("simplify writes the simpler model and says what went; bad words are named", () => {
  const graph = network("lenet-5", { seed: 1 });
  const idle = { ...graph.nodes[0]!, op: "Identity", name: "idle", attributes: {}, inputs: ["x"], outputs: ["x0"] };
  const nodes = graph.nodes.map((n) => ({
    ...n,
    inputs: n.inputs.map((i) => (i === graph.inputs[0]!.name ? "x0" : i)),
  }));
  idle.inputs = [graph.inputs[0]!.name];
  writeFileSync(at("idle.onnx"), toBytes({ ...graph, nodes: [idle, ...nodes] }));
  const facts = json("simplify", "idle.onnx", "-o", "simple.onnx", "--input", `${graph.inputs[0]!.name}=2x1x28x28`);
  assert.equal(facts.nodes[0] - facts.nodes[1], 1);
  assert.deepEqual(facts.operators.Identity, [1, 0]);
  assert.equal(facts.sizeBytes[1], statSync(at("simple.onnx")).size);
  const text = pare("simplify", "idle.onnx", "-o", "simple.onnx");
  assert.match(text.out, /^Identity +1 +0$/m);
  const refused = pare("simplify", "idle.onnx", "-o", "not.onnx", "--opset", "13");
  assert.equal(refused.code, 2);
  assert.match(refused.err, /--opset 13: .*17 to 21/);
  const lower = pare("simplify", "idle.onnx", "-o", "not.onnx", "--opset", "17");
  assert.equal(lower.code, 1);
  assert.match(lower.err, /opset 17: the model is of opset 21, and models are only raised/);
  assert.ok(!existsSync(at("not.onnx")));
  const stray = pare("simplify", "idle.onnx", "-o", "not.onnx", "--input", "z=1");
  assert.equal(stray.code, 1);
  assert.match(stray.err, /no input "z"/);
  assert.ok(!existsSync(at("not.onnx")));
});

test("train writes a model that eval measures; the text output is a table", () => {
  const trained = json(
    "train",
    "lenet-300-100",
    "--data",
    "mnist",
    "--limit",
    "2000",
    "--epochs",
    "2",
    "-o",
    "trained.onnx",
    "--seed",
    "3",
  );
  assert.equal(trained.epochs.length, 2);
  assert.ok(!existsSync(at("trained.onnx.checkpoint")));
  const measured = json("eval", "trained.onnx", "--data", "mnist", "--limit", "1000");
  assert.equal(measured.samples, 1000);
  assert.ok(measured.error < 0.2, `error ${measured.error}`);
  assert.ok(Math.abs(measured.top1 + measured.error - 1) < 1e-9);
  const text = pare("eval", "trained.onnx", "--data", "mnist", "--limit", "100");
  assert.match(text.out, /samples +error +top-1 +top-5 +loss\n/);
});

test("prune: channels and weights, with the facts before and after; refusals name the flag, and write nothing", () => {
  const narrow = json(
    "prune",
    "lenet.onnx",
    "--structured",
    "--target",
    "macs=40%",
    "--round-to",
    "10",
    "-o",
    "narrow.onnx",
  );
  assert.deepEqual(
    narrow.widths.map((w: { before: number }) => w.before),
    [300, 100, 10],
  );
  assert.ok(narrow.macs[1] <= 0.4 * narrow.macs[0] && narrow.widths[0].after % 10 === 0);
  assert.equal(json("inspect", "narrow.onnx").macs, narrow.macs[1]);
  const sparse = json("prune", "lenet.onnx", "--sparsity", "0.8", "--method", "global", "-o", "sparse.onnx");
  assert.ok(Math.abs(sparse.nonzero[1] / 266_200 - 0.2) < 0.002);
  const text = pare("prune", "lenet.onnx", "--structured", "--target", "macs=0.0001", "-o", "least.onnx");
  assert.equal(text.code, 0, text.err);
  assert.match(text.out, /MACs .*%\n/);
  assert.match(text.err, /target macs=0.0001 cannot be met: 0\.\d+ is the nearest, and is kept/);
  const cases: [number, RegExp, string[]][] = [
    [2, /--target: goes with --structured/, ["--target", "macs=0.5"]],
    [2, /sparsegpt.*data/, ["--method", "sparsegpt"]],
    [2, /fine-tuning needs data/, ["--epochs", "1"]],
    [2, /exclude names "fc9".*nearest are "fc/, ["--exclude", "fc9"]],
  ];
  for (const [code, words, args] of cases) {
    const run = pare("prune", "lenet.onnx", ...args, "-o", "refused.onnx");
    assert.equal(run.code, code, `${args.join(" ")}: ${run.err}`);
    assert.match(run.err, words);
  }
  assert.ok(!existsSync(at("refused.onnx")));
});

test("factorize writes smaller layers, and refuses with every layer's reason and nothing written", () => {
  const facts = json("factorize", "lenet.onnx", "--method", "svd", "--rank", "fc1=30", "-o", "rank30.onnx");
  assert.equal(facts.layers.length, 1);
  assert.deepEqual(facts.layers[0].parameters, [235_200, 30 * (784 + 300)]);
  assert.equal(json("inspect", "rank30.onnx").parameters, facts.parameters[1]);
  const refusals: [number, RegExp, string[]][] = [
    [1, /no layer[\s\S]*fc1: a matrix product has no kernel[\s\S]*fc3: /, ["--method", "spatial"]],
    [2, /fcc1.*nearest are "fc1"/, ["--exclude", "fcc1"]],
    [2, /fc1.*svd takes 1 to 300/, ["--rank", "fc1=30,40"]],
    [2, /needs data/, ["--epochs", "1"]],
    [2, /expected macs=0.5/, ["--target", "speed=2"]],
  ];
  for (const [code, words, args] of refusals) {
    const run = pare("factorize", "lenet.onnx", ...args, "-o", "none.onnx");
    assert.equal(run.code, code, run.err);
    assert.match(run.err, words);
    assert.ok(run.out === "" && !existsSync(at("none.onnx")));
  }
});

test("the published schemas are current", () => {
  for (const [name, text] of Object.entries(schemaTexts())) {
    const file = new URL(`../schemas/${name}.schema.json`, import.meta.url);
    assert.equal(readFileSync(file, "utf8"), text, `schemas/${name}.schema.json is stale: npm run docs:schemas`);
  }
});
