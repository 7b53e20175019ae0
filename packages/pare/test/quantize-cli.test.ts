/** quantize, compare and explain from the outside: exit codes, what they print, and what bad input is told. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";
import { node } from "../dist/graph/emit.js";
import { toBytes } from "../dist/graph/encode.js";
import { emptyGraph } from "../dist/graph/graph.js";
import { network, quantized } from "./support/planted.js";
import { bin, commandLine } from "./support/run-pare.js";

const { folder, at, pare, json } = commandLine("quantize");
/** A data module of noise; `change`: what is done to sample i. */
const moduleOf = (count: number, change = "", label = "undefined"): string => `
export function* train() {
  let state = 7;
  const draw = () => ((state = (state * 1103515245 + 12345) % 2147483648) / 1073741824) - 1;
  for (let i = 0; i < ${count}; i++) {
    let data = Float32Array.from({ length: 192 }, draw), dims = [1, 3, 8, 8];
    ${change}
    yield { x: { data, dims }, label: ${label} };
  }
}
export const test = train;
`;

before(() => {
  writeFileSync(at("net.onnx"), toBytes(network(1)));
  writeFileSync(at("data.mjs"), moduleOf(12));
  writeFileSync(at("none.mjs"), moduleOf(0));
  writeFileSync(at("nan.mjs"), moduleOf(4, "if (i === 2) data[5] = NaN;"));
  writeFileSync(at("shape.mjs"), moduleOf(4, "dims = [1, 3, 4, 16];"));
  writeFileSync(at("huge.mjs"), moduleOf(4, "if (i === 2) data = data.map((v) => v * 1e38);"));
  writeFileSync(at("broken.mjs"), "export const train = () => { throw new Error('no disk'); };");
  const nothing = emptyGraph("nothing", 21);
  nothing.inputs.push({ name: "x", type: "float32", shape: [1, 3, 8, 8] });
  nothing.nodes.push(node("Erf", ["x"], ["e"]), node("Sin", ["e"], ["y"]));
  nothing.outputs.push({ name: "y", type: "float32", shape: [1, 3, 8, 8] });
  writeFileSync(at("nothing.onnx"), toBytes(nothing));
  const two = network(2);
  two.inputs.push({ name: "more", type: "float32", shape: [1, 6] });
  two.nodes.push(node("Add", ["y", "more"], ["z"]));
  two.outputs[0] = { name: "z", type: "float32", shape: [1, 6] };
  writeFileSync(at("two.onnx"), toBytes(two));
});

test("quantize writes a smaller model, says so by its schema, and is recognised when it comes again", () => {
  const facts = json("quantize", "net.onnx", "--data", "data.mjs", "--format", "int8", "-o", "small.onnx");
  assert.equal(facts.format, "int8");
  assert.equal(facts.sizeBytes[0], statSync(at("net.onnx")).size);
  assert.equal(facts.sizeBytes[1], statSync(at("small.onnx")).size);
  assert.ok(facts.sizeBytes[1] < 0.6 * facts.sizeBytes[0], `${facts.sizeBytes}`);
  assert.ok(facts.kernels.integers > 0 && facts.kernels.conversion > 0, JSON.stringify(facts.kernels));
  const convolutions = facts.layers.filter(
    (l: { op: string; format: string }) => l.op === "Conv" && l.format === "int8",
  );
  assert.ok(convolutions.length > 0);
  assert.ok(
    convolutions.every((l: { kernel: string }) => l.kernel === "QLinearConv"),
    JSON.stringify(convolutions),
  );
  assert.ok(facts.quantized > 0 && facts.snrDb > 20 && facts.peakBytes > 1e6);
  assert.ok(!existsSync(at("small.onnx.search.json")), "a finished search leaves no state");
  const again = pare("quantize", "small.onnx", "--data", "data.mjs", "-o", "smaller.onnx");
  assert.equal(again.code, 1);
  assert.match(again.err, /quantized already/);
  assert.ok(!existsSync(at("smaller.onnx")));

  const likeness = json("compare", "net.onnx", "small.onnx", "--data", "data.mjs");
  assert.equal(likeness.samples, 12);
  assert.ok(likeness.snrDb > 20 && likeness.cosine > 0.99 && likeness.layers.length > 5);
  const same = json("compare", "net.onnx", "net.onnx", "--data", "data.mjs");
  assert.deepEqual([same.snrDb, same.cosine, same.agreement], [null, 1, 1]);

  const why = json("explain", "net.onnx", "small.onnx", "--data", "data.mjs");
  assert.ok(why.layers.length > 5 && why.layers[0].fix.length > 10);
  assert.ok(why.integerShare > 0 && why.conversionShare > 0, JSON.stringify([why.integerShare, why.conversionShare]));
  assert.match(pare("explain", "net.onnx", "small.onnx", "--data", "data.mjs").out, /to do:/);
});

test("without data weights alone are stored in fewer bits, and that is said", () => {
  const run = pare("quantize", "net.onnx", "-o", "weights.onnx", "--json");
  assert.equal(run.code, 0, run.err);
  assert.equal(JSON.parse(run.out).format, "weights8");
  assert.equal(JSON.parse(run.out).kernels, null, "nothing was run");
  assert.match(run.err, /no data was given/);
});

test("bad input is told in one line, and nothing is written", () => {
  const cases: [number, RegExp, string[]][] = [
    [1, /nothing in the model can be quantized:\n.*Erf/, ["nothing.onnx", "--data", "data.mjs"]],
    [1, /no samples/, ["net.onnx", "--data", "none.mjs"]],
    [1, /sample 2.*finite/, ["net.onnx", "--data", "nan.mjs"]],
    [1, /"x" wants \[1,3,8,8\].*\[1,3,4,16\]/, ["net.onnx", "--data", "shape.mjs"]],
    [
      1,
      /huge.mjs: sample 2: the model's output "y" holds nothing but NaN or Infinity/,
      ["net.onnx", "--data", "huge.mjs"],
    ],
    [1, /no disk/, ["net.onnx", "--data", "broken.mjs"]],
    [1, /nowhere/, ["net.onnx", "--data", "nowhere.mjs"]],
    [1, /input "x".*input "more"|"more".*has no data|inputs are "x", "more"/, ["two.onnx", "--data", "data.mjs"]],
    [2, /int8 needs samples/, ["net.onnx", "--format", "int8"]],
    [2, /octal/, ["net.onnx", "--format", "octal"]],
  ];
  for (const [code, words, args] of cases) {
    const run = pare("quantize", ...args, "-o", "bad.onnx");
    assert.equal(run.code, code, `pare quantize ${args.join(" ")}: ${run.err}`);
    assert.match(run.err, words);
    assert.equal(run.out, "");
    assert.doesNotMatch(run.err, /\n\s+at |fault in pare/, "no stack trace");
    assert.ok(!existsSync(at("bad.onnx")));
  }
});

test("compare refuses models with other outputs, explain one that is not quantized", () => {
  const other = pare("compare", "net.onnx", "nothing.onnx", "--data", "data.mjs");
  assert.equal(other.code, 1);
  const plain = pare("explain", "net.onnx", "net.onnx", "--data", "data.mjs");
  assert.equal(plain.code, 1);
  assert.match(plain.err, /rounds no value/);
});

test("samples that the model has no answer to are named", async () => {
  writeFileSync(at("rounded.onnx"), toBytes(await quantized(network(1))));
  writeFileSync(at("late.mjs"), moduleOf(6, "if (i === 3) data = data.map((v) => v * 1e38);"));
  for (const command of ["compare", "explain"]) {
    const run = pare(command, "net.onnx", "rounded.onnx", "--data", "late.mjs");
    assert.deepEqual([run.code, run.out], [1, ""]);
    assert.match(run.err, /late.mjs: sample 3: the model's output "y" holds nothing but NaN or Infinity/);
  }
});

test("labels that are no classes of the model are named, where labels count", () => {
  writeFileSync(at("labels.mjs"), moduleOf(4, "", "i === 2 ? 6 : i"));
  for (const args of [
    ["compare", "net.onnx", "net.onnx"],
    ["quantize", "net.onnx", "--max-drop", "1%", "-o", "bad.onnx"],
  ]) {
    const run = pare(...args, "--data", "labels.mjs");
    assert.deepEqual([run.code, run.out], [1, ""], `${args.join(" ")}: ${run.err}`);
    assert.match(run.err, /sample 2: label 6 is none of the 6 classes \(from 0\) that the model's output "y" scores/);
  }
  writeFileSync(at("labels.mjs"), moduleOf(4, "", "i"));
  const found = json("compare", "net.onnx", "net.onnx", "--data", "labels.mjs");
  assert.ok(found.error[0] !== null && found.error[0] === found.error[1]);
});

test("Ctrl-C ends with 130", async () => {
  writeFileSync(at("slow.mjs"), moduleOf(3000));
  const child = spawn(
    process.execPath,
    [bin, "quantize", "net.onnx", "--data", "slow.mjs", "--limit", "3000", "-o", "late.onnx"],
    { cwd: folder },
  );
  let err = "";
  child.stderr.on("data", (d) => {
    // At the first sign of the search.
    if (err === "") child.kill("SIGINT");
    err += d;
  });
  const code = await new Promise((done) => child.on("close", done));
  assert.equal(code, 130, err);
  if (existsSync(at("late.onnx"))) assert.ok(readFileSync(at("late.onnx")).length > 0);
});
