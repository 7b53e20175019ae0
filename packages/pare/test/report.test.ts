/** The report page: everything a run found out, escaped, self-contained. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReportFacts, reportFacts } from "../dist/report/facts.js";
import { groupsText } from "../dist/report/groups.js";
import { histogramOf, pixelPicture } from "../dist/report/histogram.js";
import { html } from "../dist/report/html.js";
import { pruningPage } from "../dist/report/pruning.js";
import { stageTable } from "../dist/report/text.js";

const stage = (name: string, sizeBytes: number) => ({
  stage: name,
  parameters: 1000,
  nonzero: 100,
  macs: 1000,
  sizeBytes,
  entropyBytes: 80.5,
  error: 0.0163,
  seconds: 1.25,
});
const facts: ReportFacts = {
  model: "<script>alert(1)</script>",
  seed: 7,
  stages: [stage("dense", 4000), stage("packed", 100)],
  output: "out/model.pare",
  report: "out/report.html",
  data: "mnist",
  layers: [
    {
      name: "fc1",
      op: "Gemm",
      weight: "w",
      dims: [784, 3],
      parameters: 2352,
      nonzero: 2,
      values: 2,
      bytes: 90,
      coding: "context",
    },
  ],
  widths: [
    { layer: "<fc1>", before: 300, after: 3 },
    { layer: "fc2", before: 10, after: 10 },
  ],
  histograms: { dense: [histogramOf("w", Float32Array.of(0, 1, -1, 0.5))], packed: [] },
  curves: [
    {
      stage: "dense",
      epochs: [1, 2].map((epoch) => ({ epoch, loss: 1 / epoch, validationError: null, learningRate: 0.1 })),
    },
  ],
  pixels: null,
  notes: [{ stage: "prune", node: "fc1", what: "skipped", why: "a & b" }],
};

test("the page escapes names, shows every stage and refers to nothing outside itself", () => {
  assert.deepEqual(reportFacts.parse(facts), facts);
  const page = html(facts);
  assert.ok(!page.includes("<script"));
  assert.ok(page.includes("&lt;script&gt;"));
  assert.ok(page.includes("a &amp; b"));
  assert.ok(page.includes("1 of 2 layers are narrower") && page.includes("&lt;fc1&gt;"));
  assert.ok(page.includes("4.0 KB became 100 B: 40.0 times smaller"));
  const outside = page.replaceAll("http://www.w3.org/", "").match(/(?:https?:)?\/\/\w|\b(?:src|href)=/g);
  assert.equal(outside, null);
});

test("a histogram counts every non-zero value once and lists few values as shared", () => {
  const h = histogramOf("w", Float32Array.of(0, 0, -2, -2, 1, 3));
  assert.equal(
    h.bins.reduce((n, b) => n + b.count, 0),
    4,
  );
  assert.deepEqual(h.centroids, [
    { value: -2, count: 2 },
    { value: 1, count: 1 },
    { value: 3, count: 1 },
  ]);
  assert.deepEqual(histogramOf("w", new Float32Array(5)), { weight: "w", bins: [], centroids: [] });
});

test("survivors are counted per pixel whichever axis the matrix has them on", () => {
  const picture = (dims: number[], values: number[]) => {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    const input = { name: "x", type: "float32" as const, shape: ["n", 1, 2, 2] };
    return pixelPicture({
      name: "g",
      nodes: [],
      inputs: [input],
      outputs: [],
      values: new Map(),
      initializers: new Map([["w", { type: "float32" as const, dims, bytes }]]),
      irVersion: 10,
      opsets: new Map(),
      functions: [],
      metadata: new Map(),
    });
  };
  assert.deepEqual(picture([4, 3], [1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 2, 0])?.survivors, [1, 3, 0, 1]);
  assert.deepEqual(picture([3, 4], [1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 2, 0])?.survivors, [2, 1, 1, 1]);
  assert.equal(picture([3, 5], new Array(15).fill(1)), null);
});

test("the stage table aligns its columns", () => {
  const lines = stageTable(facts.stages).split("\n");
  assert.equal(lines.length, 4);
  assert.match(lines[3]!, /^packed +100 +10\.00 % +81 +100 +40\.0x +1\.63 % +1\.3$/);
});

test("the pruning page shows widths, times and what was left alone, escaped; without times it says so", () => {
  const facts = {
    model: "<b>",
    method: "structured",
    output: "small.onnx",
    parameters: [100, 50],
    nonzero: [100, 50],
    macs: [1000, 400],
    sizeBytes: [4000, 2000],
    latencyMs: [2, 1],
    widths: [
      { layer: "first & only", before: 16, after: 8 },
      { layer: "last", before: 10, after: 10 },
    ],
    error: [0.1, 0.2],
    notes: [{ node: "last", what: "skipped", why: "<output>" }],
  } as const;
  const shown = pruningPage(facts);
  for (const part of ["&lt;b&gt;", "2.00 times as fast", "20.00 % after", "16 → 8", "&lt;output&gt;", "1 of 2 layers"])
    assert.ok(shown.includes(part), part);
  assert.ok(!/<script|<b>|https?:\/\/(?!www\.w3\.org)/.test(shown));
  assert.match(pruningPage({ ...facts, latencyMs: null }), /was not measured/);
});

test("groups are drawn with a bar as long as they are wide, their members, and why they are kept", () => {
  const member = (tensor: string, times = 1) => ({ tensor, axis: 0, node: "conv", times });
  const drawn = groupsText({
    groups: [
      { name: "a[0]", size: 24, free: true, reason: null, members: [member("a"), member("b", 4)] },
      { name: "c[0]", size: 12, free: false, reason: "it is an output", members: [member("c")] },
    ],
    ungrouped: [{ node: 'If "branch"', reason: "control flow" }],
  });
  assert.deepEqual(drawn.split("\n"), [
    "2 groups of coupled channels, 1 free; ■ may be removed, □ are kept",
    `  24 ${"■".repeat(24)}  a[0]`,
    "     └─ conv  a[0] b[0] x4",
    `  12 ${"□".repeat(12).padEnd(24)}  kept: it is an output`,
    "     └─ conv  c[0]",
    "",
    "in no group:",
    '   - If "branch": control flow',
  ]);
});
