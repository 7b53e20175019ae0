/** Statistics computed within onnxruntime against those computed here from every element, on real models and in bodies of control flow. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { infer } from "../dist/analyze/infer.js";
import { calibrate } from "../dist/calibrate/calibrate.js";
import type { Wanted } from "../dist/calibrate/layout.js";
import type { Statistics } from "../dist/calibrate/statistics.js";
import { openSamples } from "../dist/data/open-samples.js";
import type { Samples } from "../dist/data/samples.js";
import type { NDArray } from "../dist/engine/engine.js";
import { ortNode } from "../dist/engine/ort-node.js";
import { Emitter, node } from "../dist/graph/emit.js";
import { PareError } from "../dist/graph/error.js";
import { read } from "../dist/graph/file.js";
import { draft, emptyGraph, type Graph, type Subgraph, type Value } from "../dist/graph/graph.js";
import { floats, int64s } from "../dist/graph/tensor.js";
import { expose, randomFrom } from "./support/expose.js";
import { packagedModels, sharedModels } from "./support/models.js";
import { needsShared, sharedData } from "./support/shared.js";

type Feeds = Readonly<Record<string, NDArray>>;
const samplesOf = (list: readonly Feeds[], batch: Samples["batch"] = () => null): Samples => ({
  name: "hand-made",
  length: list.length,
  label: () => null,
  feeds: (i) => list[i]!,
  batch,
});
const float = (dims: readonly number[], data: ArrayLike<number>): NDArray => ({
  type: "float32",
  dims,
  data: Float32Array.from(data),
});
const untyped = (name: string): Value => ({ name, type: "undefined", shape: null });
const engine = ortNode;

/** Every element of a value over all samples, in the order of one run after the other; and its dims in each. */
interface Elements {
  readonly all: number[];
  readonly dims: (readonly number[])[];
}
async function elementsOf(exposed: Graph, names: Iterable<string>, samples: Samples): Promise<Map<string, Elements>> {
  const session = await engine.load(exposed);
  const out = new Map<string, Elements>();
  for (const name of names) out.set(name, { all: [], dims: [] });
  for (let i = 0; i < samples.length; i++) {
    const run = await session.run(samples.feeds(i), [...out.keys()]);
    for (const [name, e] of out) {
      e.dims.push(run[name]!.dims);
      for (const x of run[name]!.data as Float32Array) e.all.push(x);
    }
  }
  await session.release();
  return out;
}

const near = (a: number, b: number, scale: number, what: string): void =>
  assert.ok(Math.abs(a - b) <= 1e-5 * scale + 1e-30, `${what}: ${a} is not ${b}`);

/** Everything but which elements a histogram sampled. */
function same(found: Statistics, { all, dims }: Elements, name: string): void {
  let [min, max, power] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const x of all) {
    min = Math.min(min, x);
    max = Math.max(max, x);
    power += x * x;
  }
  const size = Math.max(Math.abs(min), Math.abs(max));
  near(found.min, min, size, `${name} min`);
  near(found.max, max, size, `${name} max`);
  assert.equal(found.count, all.length, name);
  near(found.power, power / all.length, power / all.length, `${name} power`);
  if (found.histogram) sameHistogram(found, all, name);
  if (found.channels) sameChannels(found.channels, all, dims, name);
}
function sameHistogram({ histogram, min, max }: Statistics, all: readonly number[], name: string): void {
  const { low, high, counts } = histogram!;
  const width = (high - low) / counts.length;
  assert.ok(
    low <= min && high >= max && low + width > min && high - width < max,
    `${name}: bins from ${low} to ${high}`,
  );
  const bin = (x: number): number => Math.floor((x - low) / width);
  const expected = new Float64Array(counts.length);
  // An element at the very edge of a bin may count as its neighbour's.
  const loose = new Float64Array(counts.length);
  for (const x of all) {
    const [a, b] = [bin(x - width * 1e-3), bin(x + width * 1e-3)];
    if (a === b) expected[a]!++;
    else for (const k of [a, b]) if (k >= 0 && k < counts.length) loose[k]!++;
  }
  counts.forEach((c, k) => {
    assert.ok(c >= expected[k]! && c <= expected[k]! + loose[k]!, `${name}: bin ${k} has ${c}, not ${expected[k]}`);
  });
}
function sameChannels(
  c: NonNullable<Statistics["channels"]>,
  all: readonly number[],
  dims: Elements["dims"],
  name: string,
): void {
  const length = c.min.length;
  const list = Array.from({ length }, (): number[] => []);
  let at = 0;
  for (const d of dims) {
    const axis = c.axis < 0 ? c.axis + d.length : c.axis;
    assert.equal(d[axis], length, name);
    const inner = d.slice(axis + 1).reduce((a, b) => a * b, 1);
    const size = d.reduce((a, b) => a * b, 1);
    for (let i = 0; i < size; i++) list[Math.floor(i / inner) % length]!.push(all[at + i]!);
    at += size;
  }
  list.forEach((x, k) => {
    const n = x.length;
    const [min, max] = x.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)] as const, [
      Infinity,
      -Infinity,
    ] as readonly [number, number]);
    const size = Math.max(Math.abs(min), Math.abs(max));
    near(c.min[k]!, min, size, `${name} channel ${k} min`);
    near(c.max[k]!, max, size, `${name} channel ${k} max`);
    near(c.power[k]!, x.reduce((a, b) => a + b * b, 0) / n, size * size, `${name} channel ${k} power`);
  });
}

test("the inputs of every layer of ResNet-20, on images in batches", async (t) => {
  if (!sharedData) return t.skip(needsShared);
  const fixed = await read(`${sharedData}models/resnet20-cifar.onnx`);
  const graph = { ...fixed, inputs: fixed.inputs.map((v) => ({ ...v, shape: ["n", ...v.shape!.slice(1)] })) };
  const options = { limit: 10, normalize: "0.4914,0.4822,0.4465/0.247,0.2435,0.2616" };
  const samples = await openSamples(`${sharedData}cifar10/test_batch.bin.br`, graph, options);
  const names = graph.nodes.flatMap((n) => (["Conv", "Gemm", "Add"].includes(n.op) ? [n.inputs[0]!] : [])).slice(1);
  const wanted = new Map(
    names.map((name, i): [string, Wanted] => [name, i % 2 ? { histogram: 512 } : { channels: 1, histogram: 128 }]),
  );
  const seen: number[] = [];
  const found = await calibrate(graph, wanted, samples, { engine, onProgress: ({ done }) => seen.push(done) });
  assert.ok(seen.at(-1) === 10 && seen.length < 10, `runs: ${seen}`);
  const elements = await elementsOf(expose(graph), wanted.keys(), samples);
  assert.ok(wanted.size > 25);
  for (const [name, e] of elements) {
    const bins = found.get(name)!.histogram!.counts.length;
    assert.ok(bins >= wanted.get(name)!.histogram!, `${name} has ${bins} bins`);
    same(found.get(name)!, e, name);
  }
});

test("text lines of different widths, and large values of which a histogram takes a part", async () => {
  const model = packagedModels().find((m) => m.name === "ch_PP-OCRv4_rec_infer")!;
  const graph = await read(model.path);
  const random = randomFrom(3);
  const line = (width: number): Feeds => ({
    x: float(
      [1, 3, 48, width],
      Float32Array.from({ length: 3 * 48 * width }, () => random() * 2 - 1),
    ),
  });
  const samples = samplesOf([64, 200, 32].map(line));
  const { types } = infer(graph);
  const names = graph.nodes
    .flatMap((n) => (n.op === "Conv" || n.op === "MatMul" ? [n.inputs[0]!] : []))
    .filter((_, i) => i % 8 === 1);
  const wanted = new Map(
    names.map((name): [string, Wanted] => [
      name,
      { histogram: 64, channels: types.get(name)?.shape?.length === 4 ? 1 : -1 },
    ]),
  );
  const found = await calibrate(graph, wanted, samples, { engine });
  for (const [name, e] of await elementsOf(
    expose(graph, (n) => wanted.has(n)),
    wanted.keys(),
    samples,
  )) {
    const { histogram, ...rest } = found.get(name)!;
    same({ ...rest, histogram: null }, e, name);
    const taken = histogram!.counts.reduce((a, b) => a + b, 0);
    assert.ok(taken >= Math.min(e.all.length, 3 * 4096) / 4, `${name}: ${taken} of ${e.all.length}`);
    assert.ok(Math.abs(histogram!.low - found.get(name)!.min) < (histogram!.high - histogram!.low) / 60);
  }
});

test("Silero VAD: values within branches, nested ones too; a branch never taken is absent", async () => {
  const model = packagedModels().find((m) => m.name === "silero_vad_16k_op15" || m.name === "silero_vad_half")!;
  assert.ok(model);
  const path = packagedModels().find((m) => m.name === "silero_vad")!.path;
  const graph = await read(path);
  const random = randomFrom(4);
  const feed = (): Feeds => ({
    input: float(
      [1, 576],
      Float32Array.from({ length: 576 }, () => random() - 0.5),
    ),
    state: float([2, 1, 128], new Float32Array(256)),
    sr: { type: "int64", dims: [], data: BigInt64Array.of(16000n) },
  });
  const samples = samplesOf(Array.from({ length: 5 }, feed));
  const branch = graph.nodes.find((n) => n.op === "If")!;
  const [taken, other] = (["then_branch", "else_branch"] as const).map((key) => {
    const a = branch.attributes[key]!;
    assert.equal(a.kind, "graph");
    return (a as { value: Subgraph }).value;
  });
  const outputs = (b: Subgraph): string[] =>
    b.nodes.flatMap((n) => (n.op === "Conv" || n.op === "Relu" ? n.outputs : []));
  const wanted = new Map(
    [...outputs(taken!), ...outputs(other!)].map((name): [string, Wanted] => [name, { histogram: 100 }]),
  );
  assert.ok(wanted.size > 10);
  const found = await calibrate(graph, wanted, samples, { engine });
  const there = outputs(taken!).every((name) => found.has(name)) ? taken! : other!;
  const absent = there === taken ? other! : taken!;
  for (const name of outputs(absent)) assert.ok(!found.has(name), `${name} is not computed`);
  // The branch in place of the node.
  const d = draft(graph);
  for (const [name, tensor] of there.initializers) d.initializers.set(name, tensor);
  d.nodes.splice(
    graph.nodes.indexOf(branch),
    1,
    ...there.nodes,
    ...branch.outputs.map((o, i) => node("Identity", [there.outputs[i]!.name], [o])),
  );
  const elements = await elementsOf(
    expose(d, (n) => wanted.has(n)),
    outputs(there),
    samples,
  );
  for (const [name, e] of elements) same(found.get(name)!, e, name);
});

test("a Scan over time (QLSTM): every round counts", async (t) => {
  const model = sharedModels().find((m) => m.path.includes("tract_qlstm"));
  if (!model) return t.skip(needsShared);
  const graph = await read(model.path);
  const scan = graph.nodes.find((n) => n.op === "Scan")!;
  const body = (scan.attributes.body as { value: Subgraph }).value;
  const types = infer(graph).bodies.get(body)!;
  const names = body.nodes
    .flatMap((n) => (n.op === "DequantizeLinear" ? [] : n.outputs))
    .filter((o) => o && types.typeOf(o)?.type === "float32");
  const random = randomFrom(6);
  const feed = (): Feeds => ({
    [graph.inputs[0]!.name]: float(
      [20, 3],
      Float32Array.from({ length: 60 }, () => random() * 2 - 1),
    ),
  });
  const samples = samplesOf(Array.from({ length: 4 }, feed));
  const wanted = new Map(names.map((name): [string, Wanted] => [name, { histogram: 64 }]));
  assert.ok(wanted.size > 3);
  const found = await calibrate(graph, wanted, samples, { engine });
  const outs = names.map((_, i) => `stacked${i}`);
  const value = { ...body, outputs: [...body.outputs, ...names.map(untyped)] };
  const axes = scan.attributes.scan_output_axes;
  const stacked = {
    ...scan,
    outputs: [...scan.outputs, ...outs],
    attributes: {
      ...scan.attributes,
      body: { kind: "graph" as const, value },
      ...(axes?.kind === "ints"
        ? { scan_output_axes: { kind: "ints" as const, value: [...axes.value, ...names.map(() => 0)] } }
        : {}),
    },
  };
  const d = draft(graph);
  d.nodes = d.nodes.map((n) => (n === scan ? stacked : n));
  d.outputs.push(...outs.map(untyped));
  const elements = await elementsOf(d, outs, samples);
  names.forEach((name, i) => {
    same(found.get(name)!, elements.get(outs[i]!)!, name);
  });
});

/** x [n,4] -> Relu -> If(first element above 0) { a = x + 1; Loop 3 times: v = v * 2 + a } else { b = -x } -> y */
function branching(): Graph {
  const d = emptyGraph("branching", 17);
  d.inputs.push({ name: "x", type: "float32", shape: ["n", 4] });
  d.outputs.push({ name: "y", type: "float32", shape: null });
  d.initializers.set("one", floats([1], []));
  d.initializers.set("two", floats([2], []));
  d.initializers.set("zero", floats([0], []));
  d.initializers.set("three", int64s([3], []));
  d.initializers.set("yes", { type: "bool", dims: [], bytes: Uint8Array.of(1) });
  const body = (nodes: Subgraph["nodes"], inputs: Value[], outputs: string[]): Subgraph => ({
    name: "body",
    nodes,
    inputs,
    outputs: outputs.map(untyped),
    initializers: new Map(),
    values: new Map(),
  });
  const of = (name: string, type: Value["type"]): Value => ({ name, type, shape: null });
  const round = body(
    [
      node("Mul", ["v", "two"], ["doubled"]),
      node("Add", ["doubled", "a"], ["sum"]),
      node("Identity", ["go"], ["still"]),
    ],
    [{ ...of("round", "int64"), shape: [] }, { ...of("go", "bool"), shape: [] }, of("v", "float32")],
    ["still", "sum"],
  );
  const yes = body(
    [
      node("Add", ["r", "one"], ["a"]),
      { ...node("Loop", ["three", "yes", "a"], ["last"]), attributes: { body: { kind: "graph", value: round } } },
    ],
    [],
    ["last"],
  );
  const no = body([node("Neg", ["x"], ["b"])], [], ["b"]);
  d.nodes.push(
    node("Relu", ["x"], ["r"]),
    node("ReduceMax", ["r"], ["top"], { keepdims: 0 }),
    node("Greater", ["top", "zero"], ["positive"]),
    {
      ...node("If", ["positive"], ["y"]),
      attributes: { then_branch: { kind: "graph", value: yes }, else_branch: { kind: "graph", value: no } },
    },
  );
  return d;
}

test("a loop within a branch, and rounds of runs that take different branches", async () => {
  const lists = [
    [-1, -2, -3, -4],
    [1, 2, -3, 4],
    [5, -6, 7, 8],
    [-9, -9, -9, 0],
    [0.5, 0, 0, 0, 1, 1, 1, 1],
  ];
  const samples = samplesOf(lists.map((x) => ({ x: float([x.length / 4, 4], x) })));
  const names = ["x", "r", "a", "b", "doubled", "sum", "v", "y"];
  const wanted = new Map(names.map((n): [string, Wanted] => [n, { histogram: 32, ...(n === "doubled" ? {} : {}) }]));
  const found = await calibrate(branching(), wanted, samples, { engine });
  const elements = Object.fromEntries(names.map((n) => [n, [] as number[]]));
  const give = (name: string, x: readonly number[]): void => void elements[name]!.push(...x);
  for (const x of lists) {
    const r = x.map((v) => Math.max(0, v));
    give("x", x);
    give("r", r);
    if (Math.max(...r) > 0) {
      const a = r.map((v) => v + 1);
      give("a", a);
      let v = a;
      for (let k = 0; k < 3; k++) {
        give("v", v);
        give(
          "doubled",
          v.map((w) => w * 2),
        );
        v = v.map((w, i) => w * 2 + a[i]!);
        give("sum", v);
      }
      give("y", v);
    } else {
      give(
        "b",
        x.map((v) => -v),
      );
      give(
        "y",
        x.map((v) => -v),
      );
    }
  }
  for (const name of names) same(found.get(name)!, { all: elements[name]!, dims: [] }, name);
  const counted = (n: string): number => found.get(n)!.histogram!.counts.reduce((a, b) => a + b, 0);
  for (const name of names) assert.equal(counted(name), elements[name]!.length, name);
  const never = await calibrate(
    branching(),
    new Map([
      ["b", {}],
      ["x", {}],
    ]),
    samplesOf([samples.feeds(1)]),
    { engine },
  );
  assert.deepEqual([...never.keys()], ["x"]);
});

const simple = (...nodes: Graph["nodes"]): Graph => {
  const d = emptyGraph("simple", 17);
  d.inputs.push({ name: "x", type: "float32", shape: ["n", 2] });
  d.outputs.push(untyped(nodes.at(-1)!.outputs[0]!));
  d.nodes.push(...nodes);
  return d;
};

test("ranges grow over samples by many orders, and halves are widened", async () => {
  const sizes = [0, 1e-6, 1, -50, 1e4, 3];
  const d = new Emitter(draft(simple(node("Identity", ["x"], ["y"]))));
  const half = d.cast("y", "float16");
  const samples = samplesOf(sizes.map((s) => ({ x: float([2, 2], [s, -s / 2, s / 3, s]) })));
  const found = await calibrate(
    d.graph,
    new Map([
      ["y", { histogram: 256 }],
      [half, { histogram: 256 }],
    ]),
    samples,
    { engine },
  );
  const all = sizes.flatMap((s) => [s, -s / 2, s / 3, s]);
  const y = found.get("y")!;
  assert.deepEqual([y.min, y.max, y.count], [-5000, 10000, 24]);
  assert.ok(y.histogram!.counts.length >= 256);
  sameHistogram(y, all, "y");
  assert.equal(found.get(half)!.max, 10000);
});

test("infinite values have no histogram; NaN names sample, node and value", async () => {
  const graph = simple(node("Log", ["x"], ["log"], {}, "", "layer/log"), node("Mul", ["log", "log"], ["y"]));
  const ok = { x: float([1, 2], [1, 2]) };
  const infinite = await calibrate(
    graph,
    new Map([
      ["log", { histogram: 8 }],
      ["x", { histogram: 8 }],
    ]),
    samplesOf([ok, { x: float([1, 2], [0, 1]) }]),
    { engine },
  );
  assert.deepEqual([infinite.get("log")!.min, infinite.get("log")!.histogram], [Number.NEGATIVE_INFINITY, null]);
  assert.ok(infinite.get("x")!.histogram);
  await assert.rejects(
    calibrate(
      graph,
      new Map([
        ["y", {}],
        ["log", {}],
      ]),
      samplesOf([ok, ok, { x: float([1, 2], [-1, 1]) }]),
      { engine },
    ),
    (e: Error) => e instanceof PareError && /Log "layer\/log" gives NaN in "log" for sample 2/.test(e.message),
  );
});

test("what cannot be calibrated is refused", async () => {
  const graph = simple(node("Cast", ["x"], ["i"], { to: 7 }), node("Cast", ["i"], ["y"], { to: 1 }));
  const one = samplesOf([{ x: float([1, 2], [1, 2]) }]);
  const refuse = (wanted: [string, Wanted][], samples: Samples, pattern: RegExp): Promise<void> =>
    assert.rejects(calibrate(graph, new Map(wanted), samples, { engine }), (e: unknown) => {
      assert.ok(e instanceof PareError, String((e as Error).stack));
      assert.match(e.message, pattern);
      return true;
    });
  await refuse([["y", {}]], samplesOf([]), /hand-made: no samples/);
  await refuse([["nowhere", {}]], one, /no value "nowhere"/);
  await refuse([["i", {}]], one, /"i" holds int64/);
  await refuse([["y", { channels: 2 }]], one, /axis 2 of "y": it has 2 axes/);
  await refuse([["y", { histogram: 0 }]], one, /0 bins for "y"/);
  await refuse(
    [["y", { channels: 0 }]],
    samplesOf([1, 2].map((n) => ({ x: float([n, 2], Array(2 * n).fill(1)) }))),
    /axis 0 of "y" is 1 long for some samples and 2/,
  );
  await refuse([["y", {}]], samplesOf([{ x: float([1, 3], [1, 2, 3]) }]), /sample 0: .*"x"/);
  const stop = new AbortController();
  stop.abort(new Error("enough"));
  await assert.rejects(calibrate(graph, new Map([["y", {}]]), one, { engine, signal: stop.signal }), /enough/);
});

test("memory: within half more than the model's own run, for any number of samples", (t) => {
  const child = fileURLToPath(new URL("support/calibrate-memory-child.js", import.meta.url));
  const peak = (way: string, samples: number): number => {
    const run = spawnSync(process.execPath, [child, way, String(samples)], { encoding: "utf8" });
    assert.equal(run.status, 0, run.stderr);
    return Number(run.stdout);
  };
  const [float, few, many] = [peak("float", 8), peak("calibrate", 8), peak("calibrate", 40)];
  const said = `MiB: ${[float, few, many].map(Math.round).join(" ")}`;
  t.diagnostic(said);
  assert.ok(many < 1.5 * float, said);
  assert.ok(many < few + 30, said);
});
